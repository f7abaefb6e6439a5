//! A client's connection, watched: what comes and goes is noted in its state, and early hints go out ahead of the answer.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::state::ConnectionState;

/// Up to so many bytes that come in several parts are put together before they are sent: a plain send costs the system
/// less than a gathering one, by more than copying so few takes.
const JOINED_BYTES_MAX: usize = 4096;

thread_local! {
    /// Where they are put together.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A client's connection.
pub(crate) enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A client's connection, watched.
pub(crate) struct Watched {
    stream: ClientStream,
    state: Arc<ConnectionState>,
    /// What was read to find out the version of HTTP, and is still to be read.
    begun: Vec<u8>,
    begun_read: usize,
    /// What goes out ahead of all else.
    ahead: Vec<u8>,
    ahead_sent: usize,
    http2: bool,
}

impl Watched {
    pub(crate) fn new(stream: ClientStream, state: Arc<ConnectionState>) -> Self {
        Self { stream, state, begun: Vec::new(), begun_read: 0, ahead: Vec::new(), ahead_sent: 0, http2: false }
    }

    /// Whether the client asked for HTTP/2 in its TLS handshake.
    pub(crate) fn agreed_on_http2(&self) -> bool {
        match &self.stream {
            ClientStream::Plain(_) => false,
            ClientStream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    pub(crate) fn set_http2(&mut self) {
        self.http2 = true;
        self.state.head_is_whole();
    }

    /// What was read ahead.
    pub(crate) fn begun(&self) -> &[u8] {
        &self.begun
    }

    /// These bytes are to be read before all others.
    pub(crate) fn begin_with(&mut self, bytes: &[u8]) {
        self.begun = bytes.to_vec();
        self.begun_read = 0;
    }

    /// Reads some ahead, at most so many bytes in all. No bytes: the end.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<io::Result<usize>> {
        let mut bytes = [0; 64];
        let room = bytes_max.saturating_sub(self.begun.len()).min(bytes.len());
        let mut buf = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        let read = buf.filled();
        if !read.is_empty() {
            self.state.bytes_came();
            self.begun.extend_from_slice(read);
        }
        Poll::Ready(Ok(read.len()))
    }

    /// Reads what was read ahead. What has come since belongs behind it in the same read: the HTTP library doubles its buffer
    /// for a head that does not come in one piece.
    fn read_begun(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = &self.begun[self.begun_read..];
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..taken]);
        self.begun_read += taken;
        if taken > 0 && self.begun_read == self.begun.len() {
            self.begun = Vec::new();
            self.begun_read = 0;
        }
        taken > 0
    }

    fn poll_send_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(hints) = self.state.hints().take() {
            self.ahead.extend_from_slice(&hints);
        }
        while self.ahead_sent < self.ahead.len() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.ahead[self.ahead_sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.ahead_sent += sent;
        }
        if self.ahead_sent > 0 {
            self.ahead = Vec::new();
            self.ahead_sent = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.state.wrote(polled.is_pending());
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let had_begun = self.read_begun(buf);
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && !self.http2 {
            self.state.bytes_came();
        }
        // A failure comes again at the next read, or the end in its place.
        if had_begun { Poll::Ready(Ok(())) } else { polled }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = match this.poll_send_ahead(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.stream).poll_write(cx, bytes),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let polled = match this.poll_send_ahead(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.stream).poll_write_vectored(cx, bufs),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.note(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = match this.poll_send_ahead(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.stream).poll_flush(cx),
            other => other,
        };
        this.note(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Writes what is little in one piece, and all else as it is.
fn poll_write_joined(
    stream: Pin<&mut TcpStream>,
    cx: &mut Context<'_>,
    bufs: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match bufs {
        [one] => stream.poll_write(cx, one),
        several if several.iter().map(|part| part.len()).sum::<usize>() <= JOINED_BYTES_MAX => {
            JOINED.with_borrow_mut(|joined| {
                joined.clear();
                several.iter().for_each(|part| joined.extend_from_slice(part));
                stream.poll_write(cx, joined)
            })
        }
        many => stream.poll_write_vectored(cx, many),
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => poll_write_joined(Pin::new(stream), cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A connection, and its client's end.
    async fn connected() -> (Watched, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::new(ConnectionState::new(Arc::default(), false, None));
        (Watched::new(ClientStream::Plain(stream), state), client)
    }

    async fn has_come(watched: &Watched) {
        let ClientStream::Plain(stream) = &watched.stream else { unreachable!("it is plain") };
        stream.readable().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_read_ahead_and_what_has_come_since_are_one_read() {
        let (mut watched, mut client) = connected().await;
        watched.begin_with(b"GET");
        client.write_all(b" / HTTP/1.1").await.unwrap();
        has_come(&watched).await;
        let mut read = [0; 64];
        let count = watched.read(&mut read).await.unwrap();
        assert_eq!(&read[..count], b"GET / HTTP/1.1");
    }

    #[tokio::test]
    async fn what_was_read_ahead_is_there_before_anything_else_has_come_and_after_the_end() {
        let (mut watched, client) = connected().await;
        watched.begin_with(b"GET");
        let mut read = [0; 64];
        assert_eq!(watched.read(&mut read).await.unwrap(), 3);
        watched.begin_with(b"GET");
        drop(client);
        has_come(&watched).await;
        assert_eq!(watched.read(&mut read).await.unwrap(), 3);
        assert_eq!(watched.read(&mut read).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn little_room_takes_what_was_read_ahead_bit_by_bit() {
        let (mut watched, _client) = connected().await;
        watched.begin_with(b"GET");
        let mut read = [0; 2];
        assert_eq!(watched.read(&mut read).await.unwrap(), 2);
        assert_eq!((watched.read(&mut read).await.unwrap(), read[0]), (1, b'T'));
    }
}
