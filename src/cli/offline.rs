//! `flagstaff eval --offline`: evaluates JSON lines without a database
//! (architecture 1), by the same reading, engine and writing as `POST /flags`.
//!
//! Each line of input gets one line of output, in order; one that cannot be
//! answered says why, and the next is read. Output is held back only while
//! more input is there already, so that a program may ask and wait.

use std::{
    collections::VecDeque,
    fs,
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use uuid::Uuid;

use super::{Failure, terminal::json_line};
use crate::{
    clock::Clock,
    engine::{Audience, FlagSet, RequestRuntime, Selection, Subject, evaluate},
    limits::MemoryBudget,
    model::json::{self, Limits},
    sdk::{
        answer::{self, Answer, Stamp},
        body::{Packing, object},
        definitions::compile,
        protocol::Shape,
        request::FlagsRequest,
    },
};

const BUFFER: usize = 64 * 1024;
/// How many definitions are remembered, compiled; lines often repeat them.
const MOST_REMEMBERED: usize = 16;

/// Answers stdin on stdout, to the end.
pub(super) fn run(
    definitions: Option<&Path>,
    now: Option<DateTime<Utc>>,
) -> Result<ExitCode, Failure> {
    let mut evaluator = Evaluator {
        clock: now.map_or_else(Clock::system, |now| Clock::new(move || now)),
        given: definitions.map(given).transpose()?,
        remembered: VecDeque::new(),
    };
    let input = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let output = io::BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let answered = match io::stdout().is_terminal() {
        true => answer_lines(&mut evaluator, input, Terminal { output, line: Vec::new() }),
        false => answer_lines(&mut evaluator, input, output),
    };
    match answered {
        // Whoever read the answers has had enough of them.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::Setting(format!("eval --offline: {error}"))),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// Escapes lines of JSON for a terminal; programs get them as the service writes them.
struct Terminal<W> {
    output: W,
    line: Vec<u8>,
}

impl<W: Write> Write for Terminal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = self.line.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            let lines = String::from_utf8_lossy(&self.line);
            for line in lines.lines() {
                writeln!(self.output, "{}", json_line(line))?;
            }
            self.line = rest;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn given(path: &Path) -> Result<FlagSet, Failure> {
    let refuse = |why: String| Failure::Setting(format!("--definitions {}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    compiled(&text).map_err(refuse)
}

fn compiled(text: &str) -> Result<FlagSet, String> {
    let feed = json::parse_lenient(text, Limits::STORED).map_err(|error| error.to_string())?;
    compile(&feed)
}

fn answer_lines(
    evaluator: &mut Evaluator,
    mut input: BufReader<impl io::Read>,
    mut output: impl Write,
) -> io::Result<()> {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if let Err(why) = evaluator.answer(line.trim_ascii(), &mut output)? {
            serde_json::to_writer(&mut output, &json!({"error": why}))?;
        }
        output.write_all(b"\n")?;
        line.clear();
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()
}

/// A line that brings its definitions.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    definitions: &'a RawValue,
    #[serde(borrow)]
    request: &'a RawValue,
}

struct Evaluator {
    clock: Clock,
    /// The definitions for every line, where the lines bring none.
    given: Option<FlagSet>,
    /// Texts of definitions with what they were compiled to, the latest first.
    remembered: VecDeque<(Box<str>, Arc<FlagSet>)>,
}

impl Evaluator {
    /// Writes the answer to a line, or says why there is none.
    fn answer(&mut self, line: &[u8], output: &mut impl Write) -> io::Result<Result<(), String>> {
        let now = self.clock.now();
        if let Some(set) = &self.given {
            return evaluated(set, line, now, output);
        }
        let line = String::from_utf8_lossy(line);
        let read = json::parse_typed::<Line<'_>>(&line).map_err(|error| error.to_string());
        let found =
            read.and_then(|line| Ok((self.compiled(line.definitions.get())?, line.request)));
        match found {
            Ok((set, request)) => evaluated(&set, request.get().as_bytes(), now, output),
            Err(why) => Ok(Err(why)),
        }
    }

    /// The definitions behind a text, compiled at most once while it repeats.
    fn compiled(&mut self, text: &str) -> Result<Arc<FlagSet>, String> {
        if let Some((_, set)) = self.remembered.iter().find(|(known, _)| **known == *text) {
            return Ok(Arc::clone(set));
        }
        let set = Arc::new(compiled(text)?);
        self.remembered.truncate(MOST_REMEMBERED - 1);
        self.remembered.push_front((text.into(), Arc::clone(&set)));
        Ok(set)
    }
}

fn evaluated(
    set: &FlagSet,
    body: &[u8],
    now: DateTime<Utc>,
    output: &mut impl Write,
) -> io::Result<Result<(), String>> {
    // Lines come from whoever runs the command, so that nothing bounds them.
    let mut memory = MemoryBudget::new(usize::MAX).reservation();
    let request = match object(Packing::default(), body, usize::MAX, &mut memory) {
        Ok(fields) => FlagsRequest::of(fields),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let evaluation = match (request.disable_flags, request.distinct_id()) {
        (true, _) => answer::nothing(),
        (false, Ok(distinct_id)) => {
            let subject = Subject::new(distinct_id, request.facts());
            evaluate(set, &subject, &selection(&request), now)
        }
        (false, Err(error)) => return Ok(Err(error.to_string())),
    };
    let stamp = Stamp { request_id: Uuid::new_v4(), evaluated_at: now.timestamp_millis() };
    let answer = Answer { shape: Shape::V2, evaluation: &evaluation, stamp, config: None };
    output.write_all(&answer.to_json())?;
    Ok(Ok(()))
}

/// There are no headers here, so only the body tells what kind of program asks.
fn selection(request: &FlagsRequest) -> Selection<'_> {
    let audience = Audience {
        runtime: request.runtime(|| RequestRuntime::detected(None, false)),
        evaluation_contexts: &request.evaluation_contexts,
        survey_only: false,
        encrypted_too: false,
        switched_off_by_key: false,
    };
    Selection { flag_keys: request.flag_keys.as_deref(), audience }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::Value;

    use super::*;

    fn evaluator(given: Option<&Value>) -> Evaluator {
        Evaluator {
            clock: Clock::new(|| DateTime::UNIX_EPOCH),
            given: given.map(|feed| compile(feed).unwrap()),
            remembered: VecDeque::new(),
        }
    }

    fn feed(key: &str) -> Value {
        json!({"flags": [{"id": 1, "key": key, "filters": {"groups": [{}]}}]})
    }

    /// One line at a time, each once the answer to the one before was flushed.
    struct Asker<'a> {
        lines: Vec<String>,
        flushed: &'a RefCell<usize>,
        asked: usize,
    }

    impl io::Read for Asker<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            assert_eq!(*self.flushed.borrow(), self.asked, "the last question was answered");
            let Some(line) = self.lines.get(self.asked) else { return Ok(0) };
            self.asked += 1;
            into[..line.len()].copy_from_slice(line.as_bytes());
            Ok(line.len())
        }
    }

    /// Counts the lines that came through.
    struct Heard<'a> {
        held: usize,
        flushed: &'a RefCell<usize>,
    }

    impl Write for Heard<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.held += bytes.iter().filter(|byte| **byte == b'\n').count();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            *self.flushed.borrow_mut() += std::mem::take(&mut self.held);
            Ok(())
        }
    }

    #[test]
    fn an_answer_is_not_held_back_when_nobody_asks_on() {
        let flushed = RefCell::new(0);
        let lines =
            vec!["{\"distinct_id\": \"a\"}\n".to_owned(), "x\n".to_owned(), "{}\n".to_owned()];
        let asker = Asker { lines, flushed: &flushed, asked: 0 };
        let heard = Heard { held: 0, flushed: &flushed };
        answer_lines(&mut evaluator(Some(&feed("a"))), BufReader::new(asker), heard).unwrap();
        assert_eq!(*flushed.borrow(), 3);
    }

    #[test]
    fn definitions_that_repeat_are_compiled_once_and_old_ones_forgotten() {
        let mut evaluator = evaluator(None);
        let first = feed("first").to_string();
        let one = evaluator.compiled(&first).unwrap();
        assert!(Arc::ptr_eq(&one, &evaluator.compiled(&first).unwrap()));
        for number in 0..MOST_REMEMBERED {
            evaluator.compiled(&feed(&number.to_string()).to_string()).unwrap();
        }
        assert_eq!(evaluator.remembered.len(), MOST_REMEMBERED);
        assert!(!Arc::ptr_eq(&one, &evaluator.compiled(&first).unwrap()));
    }
}
