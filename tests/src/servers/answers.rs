//! Services that answer short questions: HTTP on a loopback port, for as long as the tests run.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What is asked.
#[derive(Debug, Default)]
pub struct Question {
    /// The path, and what follows it.
    pub target: String,
    /// By their names in small letters.
    pub headers: HashMap<String, String>,
    /// What came with it.
    pub body: Vec<u8>,
}

/// Answers with a status and a text. Gives the URL.
pub fn serve(answer: impl Fn(&Question) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            // Who goes away has heard enough.
            let _ = converse(connection, &answer);
        }
    });
    url
}

/// Stands in for Backblaze, whose one answer is where an account's buckets are: at `buckets`, for whoever has this key.
pub fn backblaze(key_id: &str, key: &str, buckets: &str) -> String {
    let authorization = format!("Basic {}", STANDARD.encode(format!("{key_id}:{key}")));
    let good = format!(r#"{{"accountId":"a","apiInfo":{{"storageApi":{{"s3ApiUrl":"{buckets}"}}}}}}"#);
    let bad = r#"{"status":401,"code":"unauthorized","message":"no such key"}"#.to_owned();
    serve(move |question| match question.headers.get("authorization") {
        _ if question.target != "/b2api/v3/b2_authorize_account" => (404, String::new()),
        Some(given) if *given == authorization => (200, good.clone()),
        _ => (401, bad.clone()),
    })
}

fn converse(mut connection: TcpStream, answer: &impl Fn(&Question) -> (u16, String)) -> Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?);
    let mut first = String::new();
    lines.read_line(&mut first)?;
    let mut question =
        Question { target: first.split(' ').nth(1).unwrap_or_default().to_owned(), ..Question::default() };
    loop {
        let mut header = String::new();
        lines.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        question.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = question.headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    question.body = vec![0; length];
    lines.read_exact(&mut question.body)?;
    let (status, text) = answer(&question);
    let length = text.len();
    write!(
        connection,
        "HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\n\
         Connection: close\r\n\r\n{text}"
    )
}
