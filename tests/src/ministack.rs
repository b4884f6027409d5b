//! A program of others that stands in for AWS, on a loopback port: S3 with conditions that hold, and KMS. It takes any
//! credentials.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::oracle::python;
use crate::site::poll;

/// It, until it is dropped.
#[derive(Debug)]
pub struct Ministack {
    child: Child,
    port: u16,
}

impl Ministack {
    /// Starts it, and waits until it answers.
    pub fn start() -> Self {
        // Free a moment ago; if it is not any more, nothing will answer as it should.
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let program = python().with_file_name("ministack");
        let child = Command::new(&program)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|why| panic!("{} cannot be started ({why}): `make .venv` installs it", program.display()));
        let started = Self { child, port };
        poll(|| TcpStream::connect(("127.0.0.1", port)).ok()).expect("ministack does not start");
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
