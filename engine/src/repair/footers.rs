//! What the footers of all packs say.

use std::sync::Arc;

use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::RepairError;
use crate::check::{Survey, problem_of};
use crate::object::Hash;
use crate::pack::{Catalog, FIRST_READ, Footer, PackMembers, read_footer};
use crate::repository::{ReadError, Repository};

/// What footers say, as far as they can be read.
pub(super) struct Footers {
    pub(super) catalog: Arc<Catalog>,
    /// Whether there are packs whose footers cannot be read, or not any more: anything may lie in them.
    pub(super) is_blind: bool,
}

/// Reads the footers of all packs that are meant.
pub(super) async fn read_footers(
    repository: &Repository,
    survey: &Survey,
    is_meant: impl Fn(&Hash) -> bool,
) -> Result<Footers, RepairError> {
    let store = repository.store();
    let mut is_blind = false;
    let found: Vec<PackMembers> = stream::iter(survey.packs.iter().copied().filter(|(pack, _)| is_meant(pack)))
        .map(|(pack, size)| async move {
            match read_footer(&**store, repository.sealer(), (pack, size), FIRST_READ).await {
                Ok(footer) => Ok::<_, RepairError>((pack, Some(footer))),
                Err(error) => problem_of(ReadError::Store(error))
                    .map_or_else(|why| Err(crate::check::CheckError::from(why).into()), |_| Ok((pack, None))),
            }
        })
        .buffer_unordered(store.capabilities().concurrency)
        .try_filter_map(|(pack, footer)| {
            let had_one = survey.with_footer.binary_search(&pack).is_ok();
            is_blind |= footer.is_none() || had_one && !matches!(footer, Some(Footer::Members(_)));
            ready(Ok(match footer {
                Some(Footer::Members(members)) => Some(members),
                _ => None,
            }))
        })
        .try_collect()
        .await?;
    Ok(Footers { catalog: Arc::new(Catalog::default().with(found)), is_blind })
}
