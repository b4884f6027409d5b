//! `cat`: one object of a repository.

use std::io::IsTerminal;

use bytes::{Bytes, BytesMut};
use cloudstic_proto::v1::object_part::Part;
use cloudstic_proto::v1::{ObjectHead, ReadObjectRequest};

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, json, pretty};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Cat) -> Result<Exit, Error> {
    let request = ReadObjectRequest { repository: args.repository, key: args.key, stored: args.stored };
    let daemon = Daemon::connect(&global.socket).await?;
    let mut parts = daemon.repositories().read_object(request).await?.into_inner();
    let mut head = ObjectHead::default();
    let mut data = BytesMut::new();
    while let Some(part) = parts.message().await? {
        match part.part {
            Some(Part::Head(first)) => head = first,
            Some(Part::Data(bytes)) => data.extend_from_slice(&bytes),
            None => {}
        }
    }
    if data.len() as u64 != head.size {
        return Err(Error::Incomplete("the object"));
    }
    show(out, &head, &data.freeze(), args.raw)
}

fn show(out: &mut Output, head: &ObjectHead, data: &Bytes, raw: bool) -> Result<Exit, Error> {
    if out.json {
        return out.last(Exit::Success, |out| out.document(&json::Object::new(head, data)));
    }
    if head.json && !raw {
        return out.last(Exit::Success, |out| out.text(pretty::json(data)));
    }
    if std::io::stdout().is_terminal() {
        return Err(Error::Arguments(format!("{} is no text: redirect standard output", head.key)));
    }
    out.last(Exit::Success, |out| out.bytes(data))
}
