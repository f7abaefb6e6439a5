//! A connection to a server on which one plain exchange follows the other, without a library's help.
//!
//! # Invariants
//! - The request stays whole until its answer's head was read: it can be given back, sent again, or left to the library.
//! - Nothing is read of an answer's body that its reader has not room for, but what came with the head, and a buffer.
//! - What is left unread at an exchange's end, or of a request unsent, makes the connection useless.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, Version};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};

use super::{
    connect::UpstreamStream,
    head::{self, Read},
};
use crate::gateway::fields::{self, Place};

/// What is read at a time of a small answer, and of a large one.
const READ_BYTES: usize = 8 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// A connection.
pub(crate) struct Plain {
    stream: UpstreamStream,
    head_bytes_max: usize,
    /// What was read and not taken.
    read: BytesMut,
    /// The request's head, how much of it was sent, and whether that has left this process.
    out: Vec<u8>,
    sent: usize,
    flushed: bool,
    /// Sending failed; the server may have answered before.
    failed: bool,
    /// Room of a request's head, for the next answer's.
    spare: HeaderMap,
    places: Vec<Place>,
}

/// How an exchange went on.
pub(crate) enum Came {
    /// A head; so many bytes of a body follow.
    Answer(Response<()>, u64),
    /// Something that is not plain.
    Other,
    /// The connection was closed before anything was sent.
    Unsent,
    /// It was closed before the answer.
    Closed,
    /// It was closed within the head of the answer.
    Cut,
}

impl Plain {
    pub(crate) fn new(stream: UpstreamStream, head_bytes_max: usize) -> Self {
        Self {
            stream,
            head_bytes_max,
            read: BytesMut::new(),
            out: Vec::new(),
            sent: 0,
            flushed: true,
            failed: false,
            spare: HeaderMap::new(),
            places: Vec::new(),
        }
    }

    /// Begins to send a request, if it is plain and has no body.
    pub(crate) fn begin<B>(&mut self, request: &Request<B>) -> bool {
        (self.sent, self.flushed, self.failed) = (0, false, false);
        head::write(request, &mut self.out)
    }

    /// Sends what [`begin`](Self::begin) was given, and reads the answer's head.
    pub(crate) fn poll_answer<B>(&mut self, request: &mut Request<B>, cx: &mut Context<'_>) -> Poll<Came> {
        if !self.flushed && !self.failed && self.poll_send(cx).is_err() {
            if self.sent == 0 {
                return Poll::Ready(Came::Unsent);
            }
            self.failed = true;
        }
        loop {
            let before = self.read.len();
            if ready!(self.poll_read(READ_BYTES, cx)) == 0 {
                return Poll::Ready(if before == 0 { Came::Closed } else { Came::Cut });
            }
            match head::read(&self.read, self.head_bytes_max, &mut self.places) {
                Read::Partial => {}
                Read::Other => return Poll::Ready(Came::Other),
                Read::Plain(plain) => return Poll::Ready(self.take(&plain, request)),
            }
        }
    }

    /// Sends what can be sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), ()> {
        while self.sent < self.out.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out[self.sent..]) {
                Poll::Ready(Ok(sent @ 1..)) => self.sent += sent,
                Poll::Ready(_) => return Err(()),
                Poll::Pending => return Ok(()),
            }
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.flushed = true,
            Poll::Ready(Err(_)) => return Err(()),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Takes a head that was read.
    fn take<B>(&mut self, plain: &head::Plain, request: &mut Request<B>) -> Came {
        let bytes = self.read.split_to(plain.head_bytes).freeze();
        let mut headers = std::mem::take(&mut self.spare);
        if !fields::fill(self.places.iter().copied(), &bytes, &mut headers) {
            let rest = self.read.split();
            self.read = BytesMut::from(bytes);
            self.read.unsplit(rest);
            return Came::Other;
        }
        // It is over: its room serves the next answer, and what it holds of the client's connection is given back.
        self.spare = std::mem::take(request.headers_mut());
        self.spare.clear();
        let mut answer = Response::new(());
        (*answer.status_mut(), *answer.version_mut(), *answer.headers_mut()) =
            (plain.status, Version::HTTP_11, headers);
        Came::Answer(answer, plain.body_bytes)
    }

    /// More of the body, of which so many bytes are left: at least one. Nothing if the connection has ended.
    pub(crate) fn poll_body(&mut self, left: &mut u64, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.read.is_empty() {
            let wanted = usize::try_from(*left).unwrap_or(READ_BYTES_MAX).clamp(READ_BYTES, READ_BYTES_MAX);
            if ready!(self.poll_read(wanted, cx)) == 0 {
                return Poll::Ready(None);
            }
        }
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(self.read.len());
        *left -= taken as u64;
        Poll::Ready(Some(self.read.split_to(taken).freeze()))
    }

    /// Reads; 0 if there is nothing more to come.
    fn poll_read(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        if self.read.capacity() - self.read.len() < READ_BYTES {
            self.read.reserve(wanted);
        }
        pin!(self.stream.read_buf(&mut self.read)).poll(cx).map(|read| read.unwrap_or(0))
    }

    /// Whether the whole request has left this process.
    pub(crate) fn is_sent(&self) -> bool {
        self.flushed && !self.failed
    }

    /// Whether an exchange that is over has left the connection fit for another.
    pub(crate) fn is_done(&self) -> bool {
        self.read.is_empty() && self.is_sent()
    }

    /// Whether the server has neither closed it nor said anything unasked.
    pub(crate) fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        self.is_done() && Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// The stream, with what was read of it.
    pub(crate) fn into_parts(self) -> (UpstreamStream, Bytes) {
        (self.stream, self.read.freeze())
    }
}
