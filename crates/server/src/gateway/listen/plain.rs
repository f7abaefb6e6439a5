//! A connection of HTTP/1.1 as long as nothing on it needs a library: between requests, and while one is answered from
//! memory.
//!
//! It holds no buffer, unless the client takes an answer slowly: what is read and written passes through one of the
//! thread's.
//!
//! # Invariants
//! - A request is begun once: if its answer is still to come, or not plain, what has begun goes with the request.
//! - While something of an answer is unsent, nothing is read, and the request counts as running.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use unstale_http::wire;

use super::{
    body::RequestBody,
    head::{self, HeadLimits, PlainRequest},
    http2::PREFACE,
    serve::Serve,
    service::{Answer, ConnectionService, Running, Serving},
    stream::Watched,
};

/// What may come at a time: the head of a plain request fits in.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static ROOM: RefCell<Room> = const { RefCell::new(Room { read: Vec::new(), head: Vec::new() }) };
}

/// Where what is read and written passes through.
struct Room {
    read: Vec<u8>,
    head: Vec<u8>,
}

/// A connection that nobody has asked anything on that needs more.
pub(crate) struct Plain<S: Serve> {
    stream: Watched,
    service: ConnectionService<S>,
    unsent: Option<Unsent>,
    finishing: bool,
}

/// What is left to be sent of an answer.
struct Unsent {
    head: Vec<u8>,
    body: Bytes,
    sent: usize,
    _running: Running,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The library of HTTP/1.1 goes on: something came that is not plain, and is still to be read.
    Http1,
    /// It speaks HTTP/2.
    Http2,
    /// It is over.
    End,
}

impl<S: Serve> Plain<S> {
    pub(crate) fn new(stream: Watched, service: ConnectionService<S>) -> Self {
        Self { stream, service, unsent: None, finishing: false }
    }

    pub(crate) fn into_parts(self) -> (Watched, ConnectionService<S>) {
        (self.stream, self.service)
    }

    /// Nothing is answered any more.
    pub(crate) fn finish(&mut self) {
        self.finishing = true;
    }

    /// Answers what is plain. HTTP/2 is known by its preface, where it is spoken.
    pub(crate) fn poll(&mut self, limits: HeadLimits, http2: bool, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(unsent) = &mut self.unsent {
                if ready!(unsent.poll(&mut self.stream, cx)).is_err() {
                    return Poll::Ready(Next::End);
                }
                self.unsent = None;
            }
            if self.finishing {
                return Poll::Ready(Next::End);
            }
            if !self.stream.begun().is_empty() {
                return self.poll_preface(cx);
            }
            let next = match ready!(self.poll_request(limits, cx)) {
                Ok(Some(request)) => self.answer(request, cx),
                Ok(None) if http2 => continue,
                Ok(None) => Some(Next::Http1),
                Err(_) => Some(Next::End),
            };
            if let Some(next) = next {
                return Poll::Ready(next);
            }
        }
    }

    /// Reads a request. None: something else has come, which is still to be read.
    fn poll_request(&mut self, limits: HeadLimits, cx: &mut Context<'_>) -> Poll<io::Result<Option<PlainRequest>>> {
        ROOM.with_borrow_mut(|room| {
            room.read.resize(READ_BYTES, 0);
            let mut buf = ReadBuf::new(&mut room.read);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            let bytes = buf.filled();
            if bytes.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            let request = head::read(bytes, limits);
            if request.is_none() {
                self.stream.begin_with(bytes);
            }
            Poll::Ready(Ok(request))
        })
    }

    /// Waits until it is known whether what has begun is the preface of HTTP/2.
    fn poll_preface(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            let begun = self.stream.begun();
            if begun.starts_with(PREFACE) {
                return Poll::Ready(Next::Http2);
            }
            if !PREFACE.starts_with(begun) {
                return Poll::Ready(Next::Http1);
            }
            if !matches!(ready!(self.stream.poll_ahead(cx, PREFACE.len())), Ok(1..)) {
                return Poll::Ready(Next::End);
            }
        }
    }

    /// Answers a request, if that is possible at once.
    fn answer(&mut self, request: PlainRequest, cx: &mut Context<'_>) -> Option<Next> {
        let PlainRequest { parts, bytes } = request;
        self.service.connection.state.set_awake(true);
        let mut answer = self.service.begin(parts, RequestBody::none());
        let begun = if let Some(sent) = self.send_written(&mut answer, cx) {
            return sent.is_err().then_some(Next::End);
        } else if answer.is_ready() {
            let Poll::Ready(Ok(mut answer)) = pin!(answer).poll(cx) else { unreachable!("it is ready") };
            if let Some(sent) = self.send(&mut answer, cx) {
                return sent.is_err().then_some(Next::End);
            }
            Serving::answered(answer)
        } else {
            answer
        };
        self.service.resume(begun);
        self.stream.begin_with(&bytes);
        Some(Next::Http1)
    }

    /// Sends an answer whose head need only be written, or as much of it as the client takes now. None, if it is no such.
    fn send_written(&mut self, answer: &mut Serving<S>, cx: &mut Context<'_>) -> Option<io::Result<()>> {
        ROOM.with_borrow_mut(|room| {
            let (body, running) = answer.write(&mut room.head)?;
            Some(self.begin_to_send(&room.head, body, running, cx))
        })
    }

    /// Sends an answer, or as much of it as the client takes now. None, if it is not plain.
    fn send(&mut self, answer: &mut Answer<S>, cx: &mut Context<'_>) -> Option<io::Result<()>> {
        let body = answer.body().whole::<S>()?.clone();
        ROOM.with_borrow_mut(|room| {
            if !wire::write_head(answer.status(), answer.headers(), body.len(), &mut room.head) {
                return None;
            }
            let running = answer.body_mut().take_running().expect("it was not sent before");
            Some(self.begin_to_send(&room.head, body, running, cx))
        })
    }

    fn begin_to_send(&mut self, head: &[u8], body: Bytes, running: Running, cx: &mut Context<'_>) -> io::Result<()> {
        let mut sent = 0;
        match poll_send(&mut self.stream, head, &body, &mut sent, cx) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                self.unsent = Some(Unsent { head: head.to_vec(), body, sent, _running: running });
                Ok(())
            }
        }
    }
}

impl Unsent {
    fn poll(&mut self, stream: &mut Watched, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_send(stream, &self.head, &self.body, &mut self.sent, cx)
    }
}

/// Sends what is left of a head and a body, of which so many bytes have been `sent`.
fn poll_send(
    stream: &mut Watched,
    head: &[u8],
    body: &[u8],
    sent: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut stream = Pin::new(stream);
    while *sent < head.len() + body.len() {
        let polled = if *sent < head.len() && !body.is_empty() {
            let parts = [IoSlice::new(&head[*sent..]), IoSlice::new(body)];
            stream.as_mut().poll_write_vectored(cx, &parts)
        } else {
            let rest = head.get(*sent..).filter(|rest| !rest.is_empty()).unwrap_or_else(|| &body[*sent - head.len()..]);
            stream.as_mut().poll_write(cx, rest)
        };
        match ready!(polled)? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => *sent += count,
        }
    }
    stream.poll_flush(cx)
}
