//! Listing. A page has a thousand names at most and names the next one, so that one page waits for another; where many
//! follow, and names are hashes, the rest is listed in several places at once.

use std::collections::VecDeque;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use cloudstic_engine::store::{ObjectStat, StoreError, StoreErrorKind, StoreResult};
use futures::stream::{self, BoxStream, StreamExt};

use super::read::time;
use super::{Shared, TEMPORARY};

/// How many places at most.
const PLACES: u64 = 16;

/// A place is worth it from so many pages on: its last page is not full, and costs as much as one that is.
const PAGES: u64 = 4;

/// A part of a listing that one page after the other is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Span {
    /// It begins after this name.
    after: Option<String>,
    /// It ends with this name, or what comes before it.
    until: Option<String>,
    /// Where the next page begins, once there was one.
    token: Option<String>,
}

pub(super) fn list<'a>(shared: &'a Shared, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
    let first = async move { shared.page(prefix, &Span::default()).await };
    stream::once(first)
        .flat_map(move |first| match first {
            Ok((found, None)) => objects(found),
            Ok((found, Some(next))) => {
                let names = found.iter().map(|stat| stat.key.as_str());
                let spans = spans(prefix, names, next.clone());
                let shift = |at: Option<String>| at.map(|key| shared.settings.location.name_of(&key));
                let rest = spans.into_iter().map(move |Span { after, until, token }| {
                    shared.pages(prefix, Span { after: shift(after), until: shift(until), token })
                });
                objects(found).chain(stream::iter(rest).flatten_unordered(None)).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        })
        .boxed()
}

fn objects<'a>(found: Vec<ObjectStat>) -> BoxStream<'a, StoreResult<ObjectStat>> {
    stream::iter(found.into_iter().map(Ok)).boxed()
}

/// What follows after the first page, which named these keys: one span, or several if it seems to be much.
fn spans<'k>(prefix: &str, first: impl Iterator<Item = &'k str>, next: String) -> Vec<Span> {
    let (count, last) = first.fold((0_u64, None), |(count, _), key| (count + 1, Some(key)));
    let place = last.and_then(|key| u32::from_str_radix(key.strip_prefix(prefix)?.get(..8)?, 16).ok());
    let one = Span { token: Some(next), ..Span::default() };
    let Some(place) = place.map(u64::from).filter(|place| *place > 0) else { return vec![one] };
    // Hashes lie evenly: as many to each part of the space of names.
    let space = u64::from(u32::MAX) + 1;
    let pages_left = (space - place) / place;
    let places = (pages_left / PAGES).clamp(1, PLACES);
    if places == 1 || count == 0 {
        return vec![one];
    }
    let bound = |number: u64| format!("{prefix}{:08x}", place + (space - place) / places * number);
    (0..places)
        .map(|number| Span {
            after: (number > 0).then(|| bound(number)),
            until: (number + 1 < places).then(|| bound(number + 1)),
            token: one.token.clone().filter(|_| number == 0),
        })
        .collect()
}

impl Shared {
    fn pages<'a>(&'a self, prefix: &'a str, span: Span) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let start = (VecDeque::new(), Some(span));
        let step = move |(mut found, mut span): (VecDeque<ObjectStat>, Option<Span>)| async move {
            loop {
                if let Some(stat) = found.pop_front() {
                    return Ok(Some((stat, (found, span))));
                }
                let Some(at) = span.take() else { return Ok(None) };
                let (page, next) = self.page(prefix, &at).await?;
                found.extend(page);
                span = next.map(|token| Span { token: Some(token), ..at });
            }
        };
        stream::try_unfold(start, step).boxed()
    }

    /// A listing that does not say that it is all, nor how it goes on.
    pub(super) fn incomplete(&self, key: &str) -> StoreError {
        let detail = "a part of the listing is missing in the service's answer".to_owned();
        self.error(key, StoreErrorKind::Transient, detail)
    }

    /// One page of a span, and where the next one begins.
    async fn page(&self, prefix: &str, span: &Span) -> StoreResult<(Vec<ObjectStat>, Option<String>)> {
        let request = self.client.list_objects_v2().bucket(self.bucket());
        let request = match self.settings.location.name_of(prefix) {
            whole if whole.is_empty() => request,
            name => request.prefix(name),
        };
        let after = span.after.clone().filter(|_| span.token.is_none());
        let request = request.set_start_after(after).set_continuation_token(span.token.clone());
        // All of the page, some 300 KB, and others at the same time.
        let answer = self.in_time(request.send()).await;
        let page = self.done(prefix, answer)?;
        let ListObjectsV2Output { contents, is_truncated, next_continuation_token, key_count, max_keys, .. } = page;
        let contents = contents.unwrap_or_default();
        // Some count all there are, beyond this page.
        let said = key_count.filter(|count| max_keys.is_none_or(|most| *count <= most));
        let said = said.and_then(|count| usize::try_from(count).ok());
        // What is missing in a listing is gone for whoever reads it.
        let mut next = match (is_truncated, next_continuation_token) {
            _ if said.is_some_and(|said| said > contents.len()) => return Err(self.incomplete(prefix)),
            (Some(true), Some(token)) if span.token.as_ref() != Some(&token) => Some(token),
            (Some(false), _) => None,
            (None, None) if said == Some(contents.len()) => None,
            _ => return Err(self.incomplete(prefix)),
        };
        let mut found = Vec::new();
        for object in contents {
            let Some(name) = object.key() else { continue };
            if span.until.as_deref().is_some_and(|until| name > until) {
                next = None;
                break;
            }
            let Some(key) = self.settings.location.key_of(name) else { continue };
            // What other tools make to show a folder.
            if key.is_empty() || key.ends_with('/') || key.ends_with(TEMPORARY) {
                continue;
            }
            let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            let modified = object.last_modified().map_or(std::time::SystemTime::UNIX_EPOCH, time);
            found.push(ObjectStat { key: key.to_owned(), size, modified });
        }
        Ok((found, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans_after(last: &str) -> Vec<Span> {
        spans("packs/", [format!("packs/{last}")].iter().map(String::as_str), "next".to_owned())
    }

    #[test]
    fn what_is_little_or_has_other_names_is_listed_in_one_place() {
        for last in ["ffffffffaa", "20000000aa", "2026-01-01T00:00:00Z", "short", "00000000aa"] {
            let one = Span { token: Some("next".to_owned()), ..Span::default() };
            assert_eq!(spans_after(last), [one], "{last}");
        }
    }

    #[test]
    fn the_places_of_what_is_much_lie_end_to_end() {
        for (last, places) in [("10000000aa", 3), ("01000000aa", 16), ("00001000aa", 16)] {
            let spans = spans_after(last);
            assert_eq!(spans.len(), places, "{last}");
            assert!(spans.windows(2).all(|pair| pair[0].until.is_some() && pair[0].until == pair[1].after));
            assert_eq!((&spans[0].after, spans[places - 1].until.as_ref()), (&None, None));
            assert!(spans[1..].iter().all(|span| span.token.is_none()));
        }
    }
}
