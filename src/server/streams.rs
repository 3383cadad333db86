//! Ends streams of HTTP/2 whose readers take nothing.
//!
//! hyper waits for the reader's window for as long as the connection answers
//! pings, and what is to be sent stays in memory meanwhile. Here each stream runs
//! beside a timer, which is set when a piece of an answer waits for its reader and
//! reset by each piece that is taken. Large pieces are cut, so that a stream that
//! stalls is seen to stall, and holds little beside what it has yet to send.

use std::{
    cell::RefCell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

/// The largest piece of an answer that is handed to a stream of HTTP/2.
const MAX_PIECE_BYTES: usize = 16 * 1024;

thread_local! {
    /// The stream that this thread is polling.
    static CURRENT: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

/// How far the answer of one stream has come.
#[derive(Debug, Default)]
struct Progress {
    /// Pieces that were handed out.
    pieces: AtomicU64,
    /// Whether the last one still waits for the reader.
    waits_for_reader: AtomicBool,
}

/// Spawns the streams of a connection, each with its timer.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamExecutor {
    pub(super) write_timeout: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(Bounded::new(stream, self.write_timeout));
    }
}

pin_project! {
    /// Runs a stream to its end, or to the end of the time that its reader has for a piece. Then
    /// it is dropped, which resets it.
    struct Bounded<F> {
        #[pin]
        stream: F,
        progress: Arc<Progress>,
        write_timeout: Duration,
        stall: Option<Stall>,
    }
}

/// A piece that waits for its reader: how many there were with it, and until when.
struct Stall {
    pieces: u64,
    timer: Pin<Box<Sleep>>,
}

impl<F> Bounded<F> {
    fn new(stream: F, write_timeout: Duration) -> Self {
        Self { stream, progress: Arc::default(), write_timeout, stall: None }
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = {
            let _current = Current::enter(this.progress);
            this.stream.poll(context)
        };
        if polled.is_ready() {
            return Poll::Ready(());
        }
        if !this.progress.waits_for_reader.load(Ordering::Relaxed) {
            *this.stall = None;
            return Poll::Pending;
        }
        let (pieces, limit) = (this.progress.pieces.load(Ordering::Relaxed), *this.write_timeout);
        let stall =
            this.stall.get_or_insert_with(|| Stall { pieces, timer: Box::pin(sleep(limit)) });
        if stall.pieces != pieces {
            stall.pieces = pieces;
            stall.timer.as_mut().reset(Instant::now() + limit);
        }
        let stalled = stall.timer.as_mut().poll(context);
        stalled.map(|()| tracing::debug!("a reader took nothing for too long"))
    }
}

/// Says which stream is polled, until this is dropped.
struct Current;

impl Current {
    fn enter(progress: &Arc<Progress>) -> Self {
        CURRENT.set(Some(Arc::clone(progress)));
        Self
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// An answer's body that tells its stream of HTTP/2 how far it has come. On HTTP/1.1 it is as it
/// was.
#[derive(Debug)]
pub(super) struct Paced {
    body: Body,
    /// What was cut from the last piece.
    rest: Bytes,
    progress: Option<Arc<Progress>>,
}

impl Paced {
    /// Wraps the body of an answer; within the stream that sends it.
    pub(super) fn new(body: Body) -> Self {
        let progress = CURRENT.with_borrow(Option::clone);
        Self { body, rest: Bytes::new(), progress }
    }

    fn cut(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if data.len() > MAX_PIECE_BYTES {
            self.rest = data.split_off(MAX_PIECE_BYTES);
        }
        Frame::data(data)
    }
}

impl Progress {
    fn hand_out(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.waits_for_reader.store(true, Ordering::Relaxed);
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, rest, progress } = &mut *self;
        let Some(progress) = progress else { return Pin::new(body).poll_frame(context) };
        // Whoever asks for more has taken what was before.
        progress.waits_for_reader.store(false, Ordering::Relaxed);
        if !rest.is_empty() {
            progress.hand_out();
            let rest = std::mem::take(rest);
            return Poll::Ready(Some(Ok(self.cut(rest))));
        }
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        let Some(Ok(frame)) = frame else { return Poll::Ready(frame) };
        if !frame.is_trailers() {
            progress.hand_out();
        }
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => self.cut(data),
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before anything is cut.
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http_body_util::BodyExt;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(1);
    const NEVER: Duration = Duration::from_secs(3600);

    /// A stream that hands out one piece of a body, and is then kept waiting.
    async fn stalled(body: Body) {
        let mut body = Paced::new(body);
        body.frame().await.unwrap().unwrap();
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_stream_whose_reader_takes_nothing_ends() {
        for length in [1, MAX_PIECE_BYTES, 10 * MAX_PIECE_BYTES] {
            Bounded::new(stalled(Body::from(vec![0; length])), LIMIT).await;
        }
    }

    #[tokio::test]
    async fn a_stream_that_waits_for_its_body_goes_on() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let late = futures::stream::once(async { receiver.await.map(|()| Bytes::from("late")) });
        let stream = async {
            let mut body = Paced::new(Body::from_stream(late));
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "late");
            assert!(body.frame().await.is_none());
        };
        let mut stream = pin!(Bounded::new(stream, LIMIT));
        assert!(futures::poll!(&mut stream).is_pending());
        tokio::time::sleep(LIMIT * 5).await;
        assert!(futures::poll!(&mut stream).is_pending(), "nobody keeps it waiting but itself");
        sender.send(()).unwrap();
        stream.await;
    }

    #[tokio::test]
    async fn large_pieces_are_cut_and_nothing_is_lost() {
        let content: Vec<u8> =
            (0..5 * MAX_PIECE_BYTES + 7).map(|place| (place % 251) as u8).collect();
        let sent = content.clone();
        let stream = async move {
            let mut body = Paced::new(Body::from(sent));
            assert_eq!(body.size_hint().exact(), Some(content.len() as u64));
            let mut heard = Vec::new();
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(piece.len() <= MAX_PIECE_BYTES);
                heard.extend_from_slice(&piece);
                assert_eq!(body.is_end_stream(), heard.len() == content.len());
            }
            assert!(heard == content);
        };
        Bounded::new(stream, NEVER).await;
        let whole = Paced::new(Body::from(vec![0; 5 * MAX_PIECE_BYTES])).frame().await;
        assert_eq!(whole.unwrap().unwrap().into_data().unwrap().len(), 5 * MAX_PIECE_BYTES);
    }
}
