//! `man`: writes the manual pages of all commands.

use std::fs;

use crate::cli::Man;
use crate::error::Error;
use crate::exit::Exit;
use crate::manual;

pub(crate) fn run(args: &Man) -> Result<Exit, Error> {
    for page in manual::pages(&args.date).map_err(Error::Output)? {
        let path = args.to.join(&page.file);
        fs::write(&path, &page.text).map_err(|source| Error::File { path, source })?;
    }
    Ok(Exit::Success)
}
