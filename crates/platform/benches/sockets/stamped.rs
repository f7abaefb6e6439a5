//! When something arrived at a socket, by the system's own stamp: reading it later, when the cores are free, finds out as
//! well.

use std::{
    io::{self, IoSliceMut, Read, Write},
    net::TcpStream,
    os::fd::AsRawFd as _,
    time::{Duration, SystemTime},
};

use nix::sys::{
    socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestamp},
    time::{TimeVal, TimeValLike as _},
};

/// A connection that knows when what was read of it last had arrived.
pub(super) struct Stamped {
    stream: TcpStream,
    arrived: Option<SystemTime>,
}

impl Stamped {
    /// Reading waits until there is something.
    pub(super) fn waited_for(stream: tokio::net::TcpStream) -> Self {
        let stream = Self::looked_at(stream);
        stream.stream.set_nonblocking(false).unwrap();
        stream
    }

    /// Reading gives what is there.
    pub(super) fn looked_at(stream: tokio::net::TcpStream) -> Self {
        let stream = stream.into_std().unwrap();
        setsockopt(&stream, ReceiveTimestamp, &true).unwrap();
        Self { stream, arrived: None }
    }

    /// When it had arrived.
    pub(super) fn arrived(&self) -> SystemTime {
        self.arrived.expect("the system stamps what it receives")
    }
}

impl Read for Stamped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (mut pieces, mut control) = ([IoSliceMut::new(into)], nix::cmsg_space!(TimeVal));
        let read = recvmsg::<()>(self.stream.as_raw_fd(), &mut pieces, Some(&mut control), MsgFlags::empty())?;
        for said in read.cmsgs()? {
            if let ControlMessageOwned::ScmTimestamp(at) = said {
                self.arrived =
                    Some(SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.num_microseconds()).unwrap()));
            }
        }
        Ok(read.bytes)
    }
}

impl Write for Stamped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
