//! Gathers what many streams of one connection say at a time into few writes.
//!
//! A stream that has something to send wakes its connection, which the runtime
//! would let write at once, before the next stream has a turn: as many writes
//! as streams. Here a connection that its streams have woken lets all others who
//! are ready have a turn first. What its socket has to say it hears at once.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::yield_now,
};

use super::silence::{Activity, Opening};

/// Wakes the task of a connection for its streams' sake.
#[derive(Debug)]
pub(super) struct Later {
    task: Mutex<Waker>,
    /// Whether a stream has something to say.
    is_due: AtomicBool,
    activity: Activity,
}

impl Later {
    pub(super) fn new(activity: Activity) -> Arc<Self> {
        let task = Mutex::new(Waker::noop().clone());
        Arc::new(Self { task, is_due: AtomicBool::default(), activity })
    }

    /// Whether the connection carries one request at a time, so that there is nothing to gather.
    /// Not before that is known: until then all are woken by the task that is noted here.
    fn is_single(&self) -> bool {
        self.activity.is_http1()
    }

    fn task(&self) -> Waker {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn polled_by(&self, task: &Waker) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(task);
    }
}

impl Wake for Later {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let is_known = self.is_due.swap(true, Ordering::AcqRel);
        if !is_known || self.is_single() {
            self.task().wake();
        }
    }
}

/// A connection that lets others have a turn when its streams have woken it.
#[derive(Debug)]
pub(super) struct Gathered<C> {
    pub(super) connection: C,
    pub(super) later: Arc<Later>,
    has_yielded: bool,
}

impl<C> Gathered<C> {
    pub(super) fn new(connection: C, later: Arc<Later>) -> Self {
        Self { connection, later, has_yielded: false }
    }
}

impl<C: Future + Unpin> Future for Gathered<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        if self.later.is_single() {
            return Pin::new(&mut self.connection).poll(context);
        }
        self.later.polled_by(context.waker());
        if !self.has_yielded && self.later.is_due.load(Ordering::Acquire) {
            self.has_yielded = true;
            // Whoever yields is woken by the runtime after all others who are ready.
            if pin!(yield_now()).poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        self.has_yielded = false;
        // From here on a stream has to say so again.
        self.later.is_due.store(false, Ordering::Release);
        let later = Waker::from(Arc::clone(&self.later));
        Pin::new(&mut self.connection).poll(&mut Context::from_waker(&later))
    }
}

/// The socket of such a connection.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    later: Arc<Later>,
    opening: Opening,
}

impl<S: Unpin> Socket<S> {
    pub(super) fn new(stream: S, later: Arc<Later>) -> Self {
        Self { stream, later, opening: Opening::default() }
    }

    fn noting<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_ready() {
            self.later.activity.step();
        }
        written
    }

    /// Does something with the stream, which wakes the connection's task itself.
    fn at_once<T>(
        &mut self,
        context: &mut Context<'_>,
        work: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.later.is_single() {
            return work(Pin::new(&mut self.stream), context);
        }
        let task = self.later.task();
        work(Pin::new(&mut self.stream), &mut Context::from_waker(&task))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.at_once(context, |stream, context| stream.poll_read(context, buffer));
        if !self.opening.is_over() {
            let Self { opening, later, .. } = &mut *self;
            opening.read(&buffer.filled()[before..], &later.activity);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.at_once(context, |stream, context| stream.poll_write(context, bytes));
        self.noting(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |stream: Pin<&mut S>, context: &mut Context<'_>| {
            stream.poll_write_vectored(context, slices)
        };
        let written = self.at_once(context, write);
        self.noting(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.at_once(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.at_once(context, |stream, context| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{OnceLock, atomic::AtomicUsize},
        time::Duration,
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinSet,
        time::timeout,
    };

    use super::*;

    fn http2() -> Activity {
        let activity = Activity::default();
        Opening::default().read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &activity);
        activity
    }

    /// Counts how often it is polled, and leaves its waker to its streams.
    struct Counting {
        polls: Arc<AtomicUsize>,
        waker: Arc<OnceLock<Waker>>,
    }

    impl Future for Counting {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            self.polls.fetch_add(1, Ordering::Relaxed);
            self.waker.get_or_init(|| context.waker().clone());
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_connection_hears_what_comes_after_it_is_known_what_it_speaks() {
        for first in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n"] {
            let (mut client, server) = tokio::io::duplex(64);
            let later = Later::new(Activity::default());
            let mut socket = Socket::new(server, Arc::clone(&later));
            let reading = Box::pin(async move {
                let mut heard = Vec::new();
                socket.read_to_end(&mut heard).await.map(|_| heard)
            });
            let connection = tokio::spawn(Gathered::new(reading, later));
            for part in [first, b"and", b"more"] {
                client.write_all(part).await.unwrap();
                // The other side takes it, and waits again.
                yield_now().await;
            }
            drop(client);
            let heard = timeout(Duration::from_secs(10), connection).await.expect("it is woken");
            assert_eq!(heard.unwrap().unwrap(), [first, b"and", b"more"].concat());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_a_connection_waits_for_may_yield_too() {
        let answering = async {
            for _ in 0..3 {
                yield_now().await;
            }
        };
        let connection = Gathered::new(Box::pin(answering), Later::new(http2()));
        tokio::spawn(connection).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_connection_is_woken_once_for_all_streams_that_speak_at_a_time() {
        let (polls, waker) = (Arc::<AtomicUsize>::default(), Arc::<OnceLock<Waker>>::default());
        let connection = Counting { polls: Arc::clone(&polls), waker: Arc::clone(&waker) };
        let connection = tokio::spawn(Gathered::new(connection, Later::new(http2())));
        // On the runtime's one thread, so that the streams wait for their turns there.
        let spoken = tokio::spawn(async move {
            while waker.get().is_none() {
                yield_now().await;
            }
            let mut streams: JoinSet<()> = JoinSet::new();
            for _ in 0..20 {
                let waker = Arc::clone(&waker);
                streams.spawn(async move { waker.get().unwrap().wake_by_ref() });
            }
            streams.join_all().await;
            while polls.load(Ordering::Relaxed) < 2 {
                yield_now().await;
            }
            yield_now().await;
            polls.load(Ordering::Relaxed)
        });
        // The runtime looks after those who yielded now and then, which may fall between two streams.
        let polls = spoken.await.unwrap();
        assert!(polls <= 3, "once to begin with, and once for twenty streams: {polls}");
        connection.abort();
    }
}
