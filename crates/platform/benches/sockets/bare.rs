//! The process that is the floor: it sends, and does nothing else.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Barrier,
    thread,
};

use super::SOCKETS;

/// As many as cores.
const THREADS: usize = 2;

/// Says where it listens, takes the one who asks and then all others, and tells them whenever it is asked.
pub(super) fn serve() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", listener.local_addr().unwrap());
    let accept = || {
        let (connection, _) = listener.accept().unwrap();
        connection.set_nodelay(true).unwrap();
        connection
    };
    let mut asking = accept();
    let sockets: Vec<TcpStream> = (0..SOCKETS).map(|_| accept()).collect();
    let (message, asked) = (message(), Barrier::new(THREADS + 1));
    thread::scope(|scope| {
        for mine in sockets.chunks(SOCKETS.div_ceil(THREADS)) {
            scope.spawn(|| {
                loop {
                    asked.wait();
                    mine.iter().for_each(|socket| (&*socket).write_all(&message).unwrap());
                }
            });
        }
        while asking.read_exact(&mut [0]).is_ok() {
            asking.write_all(b"!").unwrap();
            asked.wait();
        }
        // Nobody asks any more; the threads wait for ever.
        std::process::exit(0);
    });
}

/// A frame (RFC 6455, section 5.2) as the platform's are.
fn message() -> Vec<u8> {
    let text = format!(
        r#"{{"type":"cache_invalidation","position":"0.19aa0c5e5b2a0001.2a","groups":["{}"],"jitter_ms":1000,"data":{}}}"#,
        "0".repeat(24),
        r#"{"entity":"flow","id":"01a1fc9e-2ecc-7696-9bef-19ce524bfd00","change":"updated"}"#
    );
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 126, length[0], length[1]], text.as_bytes()].concat()
}
