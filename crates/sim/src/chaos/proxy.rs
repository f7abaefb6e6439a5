//! A TCP proxy between one node and Redis, and what may happen on the way.

use std::{io, net::Ipv4Addr, time::Duration};

use rand::RngExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
};

/// How bytes are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Passed on.
    Pass,
    /// New connections are closed at once.
    Refuse,
    /// Held back in both directions, connections stay open: a network that is cut. What is held back arrives when
    /// the manner changes, as TCP sends again what was lost.
    Stall,
    /// Requests arrive, answers are held back: what was asked for happens, and its asker does not hear of it.
    StallAnswers,
    /// Every chunk takes so long.
    Slow(Duration),
    /// Of the next answer a part is passed on, then the connection is closed.
    CutAnswers,
}

#[derive(Clone, Debug)]
struct Conditions {
    manner: Manner,
    target: u16,
    /// Connections with lower numbers are closed.
    closed_below: u64,
    /// Connections with lower numbers stay open, and nothing passes any more.
    deaf_below: u64,
    accepted: u64,
}

/// A proxy; it ends when it is dropped.
pub(super) struct Proxy {
    port: u16,
    conditions: watch::Sender<Conditions>,
    accepting: AbortHandle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

impl Proxy {
    /// Starts one that leads to a port of loopback, on a free one.
    pub(super) async fn start(target: u16) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0), target).await
    }

    /// The same, at a place of its own.
    pub(super) async fn start_at(place: (Ipv4Addr, u16), target: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(place).await?;
        let port = listener.local_addr()?.port();
        let conditions = watch::Sender::new(Conditions {
            manner: Manner::Pass,
            target,
            closed_below: 0,
            deaf_below: 0,
            accepted: 0,
        });
        let accepting = tokio::spawn(accept(listener, conditions.clone())).abort_handle();
        Ok(Self { port, conditions, accepting })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, manner: Manner) {
        self.conditions.send_modify(|conditions| conditions.manner = manner);
    }

    /// Closes every connection.
    pub(super) fn reset(&self) {
        self.conditions.send_modify(|conditions| conditions.closed_below = conditions.accepted);
    }

    /// Leads to another server from now on; connections to the old one are closed.
    pub(super) fn lead_to(&self, target: u16) {
        self.conditions.send_modify(|conditions| {
            conditions.target = target;
            conditions.closed_below = conditions.accepted;
        });
    }

    /// The same, but connections to the old one stay open and silent for ever, as when a machine hangs and another
    /// takes over its address.
    pub(super) fn abandon_and_lead_to(&self, target: u16) {
        self.conditions.send_modify(|conditions| {
            conditions.target = target;
            conditions.deaf_below = conditions.accepted;
        });
    }

    /// How many connections were made through it.
    pub(super) fn accepted(&self) -> u64 {
        self.conditions.borrow().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}

async fn accept(listener: TcpListener, conditions: watch::Sender<Conditions>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut number = 0;
        conditions.send_modify(|conditions| {
            number = conditions.accepted;
            conditions.accepted += 1;
        });
        let seen = conditions.subscribe();
        if seen.borrow().manner == Manner::Refuse {
            let _ = client.set_zero_linger();
            continue;
        }
        tokio::spawn(connect(number, client, seen));
    }
}

async fn connect(number: u64, client: TcpStream, conditions: watch::Receiver<Conditions>) -> io::Result<()> {
    let target = conditions.borrow().target;
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // When one direction ends, so does the other, and both sockets are closed.
    tokio::select! {
        () = pump(number, Direction::Requests, client_read, server_write, conditions.clone()) => {}
        () = pump(number, Direction::Answers, server_read, client_write, conditions) => {}
    }
    Ok(())
}

async fn pump(
    number: u64,
    direction: Direction,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut conditions: watch::Receiver<Conditions>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            () = closed(number, &mut conditions) => return,
            read = from.read(&mut buffer) => read,
        };
        let Ok(1..) = read else { return };
        let mut passed = read.expect("just matched");
        let Some(manner) = leave(number, direction, &mut conditions).await else { return };
        let cut = manner == Manner::CutAnswers && direction == Direction::Answers;
        if cut {
            passed = rand::rng().random_range(0..passed);
        }
        if let Manner::Slow(delay) = manner {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..passed]).await.is_err() || cut {
            return;
        }
    }
}

async fn closed(number: u64, conditions: &mut watch::Receiver<Conditions>) {
    // The proxy itself may end first.
    let _ = conditions.wait_for(|conditions| number < conditions.closed_below).await;
}

/// Waits until bytes may pass; none if the connection is to be closed.
async fn leave(number: u64, direction: Direction, conditions: &mut watch::Receiver<Conditions>) -> Option<Manner> {
    let decided = conditions.wait_for(|conditions| {
        let stalled = match conditions.manner {
            Manner::Stall => true,
            Manner::StallAnswers => direction == Direction::Answers,
            _ => false,
        };
        number < conditions.closed_below || !(stalled || number < conditions.deaf_below)
    });
    let decided = decided.await.ok()?;
    if number < decided.closed_below { None } else { Some(decided.manner) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(100);

    /// A server that sends back what it gets, and a proxy before it.
    async fn echo() -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (mut read, mut write) = socket.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            }
        });
        Proxy::start(port).await.unwrap()
    }

    async fn connect_to(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
    }

    async fn ask(socket: &mut TcpStream) -> io::Result<usize> {
        socket.write_all(b"0123456789").await?;
        socket.read(&mut [0; 10]).await
    }

    #[tokio::test]
    async fn holds_back_and_passes_on() {
        let proxy = echo().await;
        let mut socket = connect_to(&proxy).await;
        assert_eq!(ask(&mut socket).await.unwrap(), 10);
        for manner in [Manner::Stall, Manner::StallAnswers] {
            proxy.set(manner);
            assert!(tokio::time::timeout(SOON, ask(&mut socket)).await.is_err(), "{manner:?}");
            proxy.set(Manner::Pass);
            assert_eq!(socket.read(&mut [0; 10]).await.unwrap(), 10, "arrives later");
        }
    }

    #[tokio::test]
    async fn closes_and_cuts() {
        let proxy = echo().await;
        let mut socket = connect_to(&proxy).await;
        assert_eq!(ask(&mut socket).await.unwrap(), 10);
        proxy.reset();
        assert!(matches!(ask(&mut socket).await, Ok(0) | Err(_)));
        proxy.set(Manner::CutAnswers);
        let mut socket = connect_to(&proxy).await;
        let mut all = Vec::new();
        socket.write_all(b"0123456789").await.unwrap();
        let _ = socket.read_to_end(&mut all).await;
        assert!(all.len() < 10);
        proxy.set(Manner::Refuse);
        assert!(matches!(ask(&mut connect_to(&proxy).await).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn an_abandoned_connection_is_silent_and_a_new_one_is_not() {
        let (proxy, other) = (echo().await, echo().await);
        let mut old = connect_to(&proxy).await;
        assert_eq!(ask(&mut old).await.unwrap(), 10);
        proxy.abandon_and_lead_to(other.port());
        assert!(tokio::time::timeout(SOON, ask(&mut old)).await.is_err());
        assert_eq!(ask(&mut connect_to(&proxy).await).await.unwrap(), 10);
        assert_eq!(other.accepted(), 1);
    }
}
