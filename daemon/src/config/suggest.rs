//! Finds what a mistyped key was meant to be.

/// The known word that is at most two typing mistakes away, the nearest one.
pub(super) fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|candidate| (distance(word, candidate), *candidate));
    near.filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len()).min().map(|(_, word)| word)
}

/// How many letters have to be put in, taken out, replaced or swapped with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_key_and_nonsense_finds_none() {
        let known = ["store", "password", "tags"];
        assert_eq!(closest("stroe", &known), Some("store"));
        assert_eq!(closest("pasword", &known), Some("password"));
        assert_eq!(closest("tag", &known), Some("tags"));
        assert_eq!(closest("colour", &known), None);
    }
}
