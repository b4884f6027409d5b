//! A program of others that stands in for AWS, on a loopback port: S3 with conditions that hold, and KMS. It takes any
//! credentials.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use super::{free_port, listens, of_python};

/// It, until it is dropped.
#[derive(Debug)]
pub struct Ministack {
    child: Child,
    port: u16,
}

impl Ministack {
    /// Starts it, and waits until it answers.
    pub fn start() -> Self {
        let port = free_port();
        let mut command = of_python("ministack");
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut started = Self { child: command.spawn().unwrap(), port };
        assert!(listens(&mut started.child, port), "ministack does not start");
        started
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, name: &str) {
        self.ask(&format!("PUT /{name}"), "", "");
    }

    /// Makes a key of KMS, and gives its ARN.
    pub fn make_key(&self) -> String {
        let headers = "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: TrentService.CreateKey\r\n";
        let answer = self.ask("POST /", headers, "{}");
        let (_, after) = answer.split_once("\"arn:aws:kms:").expect("an ARN");
        format!("arn:aws:kms:{}", after.split('"').next().unwrap())
    }

    fn ask(&self, what: &str, headers: &str, body: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let (host, length) = (format!("127.0.0.1:{}", self.port), body.len());
        let head = format!("{what} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n");
        connection.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
