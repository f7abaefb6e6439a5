//! Questions and answers between processes: lines of JSON over loopback, many at a time on one connection.

use std::{collections::HashMap, io, net::Ipv4Addr, sync::Arc};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

/// The other side is gone, or was before it answered: whether it did what it was asked to is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process on the other side is gone")]
pub(super) struct Gone;

#[derive(Serialize, Deserialize)]
struct Line<T> {
    id: u64,
    what: T,
}

/// One end that asks. Cheap to clone.
pub(super) struct Caller<Q, A> {
    asked: mpsc::UnboundedSender<(Q, oneshot::Sender<A>)>,
}

impl<Q, A> Clone for Caller<Q, A> {
    fn clone(&self) -> Self {
        Self { asked: self.asked.clone() }
    }
}

impl<Q, A> Caller<Q, A>
where
    Q: Serialize + Send + 'static,
    A: DeserializeOwned + Send + 'static,
{
    pub(super) async fn connect(port: u16) -> io::Result<Self> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        socket.set_nodelay(true)?;
        let (asked, questions) = mpsc::unbounded_channel();
        tokio::spawn(converse(socket, questions));
        Ok(Self { asked })
    }

    pub(super) async fn call(&self, question: Q) -> Result<A, Gone> {
        let (send, answer) = oneshot::channel();
        self.asked.send((question, send)).map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

/// Ends with the connection or the last caller; then every waiting call fails.
async fn converse<Q: Serialize, A: DeserializeOwned>(
    socket: TcpStream,
    mut questions: mpsc::UnboundedReceiver<(Q, oneshot::Sender<A>)>,
) {
    let (read, mut write) = socket.into_split();
    let waiting: Mutex<HashMap<u64, oneshot::Sender<A>>> = Mutex::default();
    let asking = async {
        let mut id = 0;
        while let Some((what, answer)) = questions.recv().await {
            id += 1;
            waiting.lock().insert(id, answer);
            write.write_all(&text(&Line { id, what })?).await?;
        }
        io::Result::Ok(())
    };
    let hearing = async {
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await? {
            let Line { id, what } = serde_json::from_str::<Line<A>>(&line)?;
            if let Some(answer) = waiting.lock().remove(&id) {
                // Whoever asked may have gone.
                let _ = answer.send(what);
            }
        }
        io::Result::Ok(())
    };
    tokio::select! {
        _ = asking => {}
        _ = hearing => {}
    }
}

fn text(line: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}

/// Ends what it guards when it is dropped.
pub(super) struct Serving(AbortHandle);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers everybody who connects, each question in a task of its own. Returns the port.
pub(super) async fn serve<Q, A, F>(
    answer: impl Fn(Q) -> F + Clone + Send + Sync + 'static,
) -> io::Result<(u16, Serving)>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    F: Future<Output = A> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let accepting = async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(attend(socket, answer.clone()));
        }
    };
    Ok((port, Serving(tokio::spawn(accepting).abort_handle())))
}

async fn attend<Q, A, F>(socket: TcpStream, answer: impl Fn(Q) -> F) -> io::Result<()>
where
    Q: DeserializeOwned,
    A: Serialize + Send + 'static,
    F: Future<Output = A> + Send + 'static,
{
    socket.set_nodelay(true)?;
    let (read, write) = socket.into_split();
    let write = Arc::new(tokio::sync::Mutex::new(write));
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        let Line { id, what } = serde_json::from_str::<Line<Q>>(&line)?;
        let (answer, write) = (answer(what), write.clone());
        tokio::spawn(async move {
            let what = answer.await;
            let text = text(&Line { id, what })?;
            // The asker may have gone.
            write.lock().await.write_all(&text).await
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn answers_find_their_questions_in_whatever_order_they_come() {
        let double = |number: u64| async move {
            tokio::time::sleep(Duration::from_millis(20 - number)).await;
            number * 2
        };
        let (port, _serving) = serve(double).await.unwrap();
        let caller = Caller::<u64, u64>::connect(port).await.unwrap();
        let answers = futures_util::future::join_all((0..20).map(|number| caller.call(number))).await;
        assert!(answers.into_iter().enumerate().all(|(at, answer)| answer == Ok(at as u64 * 2)));
    }

    #[tokio::test]
    async fn a_call_ends_when_the_other_side_does() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let caller = Caller::<u64, u64>::connect(listener.local_addr().unwrap().port()).await.unwrap();
        let dying = async { drop(listener.accept().await) };
        assert_eq!(tokio::join!(caller.call(1), dying).0, Err(Gone));
    }
}
