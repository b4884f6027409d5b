//! The way to a server in another process. What was signed comes there as it was, with the name of the host that was
//! asked.

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Answer, Error, Question};

/// What belongs to one connection, not to what goes over it.
const OF_THE_CONNECTION: [&str; 3] = ["connection", "keep-alive", "transfer-encoding"];

/// Asks the server at this address, over a connection of its own.
pub(super) async fn forward(to: String, mut question: Question) -> Result<Answer, Error> {
    let socket = TcpStream::connect(to).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.map_err(Error::other)?;
    // It ends with the answer, or when nobody waits for that any more.
    tokio::spawn(connection);
    for name in OF_THE_CONNECTION {
        question.headers_mut().remove(name);
    }
    let mut answer = sender.send_request(question).await.map_err(Error::other)?;
    for name in OF_THE_CONNECTION {
        answer.headers_mut().remove(name);
    }
    Ok(answer.map(|body| body.map_err(Error::other).boxed_unsync()))
}
