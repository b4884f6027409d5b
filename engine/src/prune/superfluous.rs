//! What lies by itself and can go: what nobody needs, and what lies in a pack, too, where it was proven.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::PruneError;
use crate::object::{ObjectKind, ObjectRef};
use crate::pack::Location;
use crate::reach::Reach;
use crate::repository::{ReadError, Repository};
use crate::source::Warning;

/// An object by itself that can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Superfluous {
    pub(super) kind: ObjectKind,
    /// Among those of its kind that lie by themselves.
    pub(super) number: u32,
    /// Whether it is needed and lies in a pack, too.
    pub(super) is_copy: bool,
}

/// Finds them, and what is wrong with the copies in packs of those that stay for it.
pub(super) async fn find(
    repository: &Arc<Repository>,
    reach: &Reach,
) -> Result<(Vec<Superfluous>, Vec<Warning>), PruneError> {
    let mut found = Vec::new();
    let mut copies = Vec::new();
    for kind in ObjectKind::ALL {
        for (number, (object, _)) in (0..).zip(reach.alone().objects(kind)) {
            if reach.needs_alone(kind, number) {
                continue;
            }
            match reach.catalog().find(&object).filter(|_| reach.needs(&object)) {
                Some(location) => copies.push((Superfluous { kind, number, is_copy: true }, object, location)),
                None => found.push(Superfluous { kind, number, is_copy: false }),
            }
        }
    }
    let concurrency = repository.store().capabilities().concurrency;
    let proven: Vec<_> = stream::iter(copies)
        .map(|(superfluous, object, location)| async move {
            Ok::<_, PruneError>((superfluous, object, prove(repository, object, location).await?))
        })
        .buffer_unordered(concurrency)
        .try_collect()
        .await?;
    let mut warnings = Vec::new();
    for (superfluous, object, proof) in proven {
        match proof {
            Ok(()) => found.push(superfluous),
            Err(problem) => warnings.push(Warning {
                path: object.key(),
                problem: format!("{problem}, in its pack; the copy by itself was kept: run `cloudsticctl repair`"),
            }),
        }
    }
    found.sort_unstable();
    warnings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((found, warnings))
}

/// Whether an object is what its name says where it lies in a pack.
async fn prove(
    repository: &Arc<Repository>,
    object: ObjectRef,
    location: Location,
) -> Result<Result<(), String>, PruneError> {
    let Location { pack, offset, length } = location;
    let sealed = repository.store().get_range(&format!("packs/{pack}"), offset..offset + length).await?;
    let repository = Arc::clone(repository);
    let proof = tokio::task::spawn_blocking(move || repository.prove(&object, &sealed).map(drop)).await?;
    match proof {
        Err(ReadError::Store(error)) => Err(error.into()),
        proof => Ok(proof.map_err(|problem| problem.to_string())),
    }
}
