//! `mount`.

use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

pub(crate) async fn run(_global: &Global, _out: &mut Output, _args: cli::Mount) -> Result<Exit, Error> {
    Ok(Exit::Failure)
}
