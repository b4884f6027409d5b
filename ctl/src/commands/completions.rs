//! `completions`: prints what a shell needs to complete this program's words.

use crate::cli::Completions;
use crate::completion;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

pub(crate) fn run(out: &mut Output, args: Completions) -> Result<Exit, Error> {
    out.bytes(&completion::script(args.shell).map_err(Error::Output)?)?;
    Ok(Exit::Success)
}
