//! Figures of two programs measured in turn, and the table that shows them.

use std::fmt::Write as _;

/// One row: what was measured, in rounds, ours and theirs side by side.
pub(crate) struct Row {
    /// What it is, with its unit.
    pub(crate) name: String,
    /// Whether more is better.
    pub(crate) more_is_better: bool,
    /// Ours and theirs, a pair for each round.
    pub(crate) rounds: Vec<(f64, f64)>,
}

impl Row {
    fn median_of(&self, figure: impl Fn(&(f64, f64)) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    /// How many times better ours is: the median of the rounds' ratios.
    fn ratio(&self) -> f64 {
        self.median_of(|(ours, theirs)| if self.more_is_better { ours / theirs } else { theirs / ours })
    }
}

/// The median; not a number where there are no figures.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[odd / 2],
        even => f64::midpoint(figures[even / 2 - 1], figures[even / 2]),
    }
}

/// The rows as a table in Markdown; the columns are ours, theirs, and the ratio.
pub(crate) fn table(rows: &[Row], columns: [&str; 3]) -> String {
    let mut text = format!("| | {} |\n|---|---:|---:|---:|\n", columns.join(" | "));
    for row in rows {
        let (ours, theirs) = (row.median_of(|pair| pair.0), row.median_of(|pair| pair.1));
        let _ = writeln!(text, "| {} | {ours:.0} | {theirs:.0} | {:.2} |", row.name, row.ratio());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(more_is_better: bool, rounds: &[(f64, f64)]) -> Row {
        Row { name: "signatures".into(), more_is_better, rounds: rounds.to_vec() }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_and_tells_how_many_times_better() {
        let rounds = [(30.0, 10.0), (8.0, 4.0), (1.0, 1.0)];
        assert!((row(true, &rounds).ratio() - 2.0).abs() < 1e-9);
        assert!((row(false, &rounds).ratio() - 0.5).abs() < 1e-9);
        assert!((row(true, &rounds[..2]).ratio() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn the_table_shows_medians() {
        let text = table(&[row(true, &[(30.0, 10.0), (8.0, 4.0), (1.0, 1.0)])], ["a", "b", "c"]);
        assert!(text.starts_with("| | a | b | c |\n"), "{text}");
        assert!(text.ends_with("| signatures | 8 | 4 | 2.00 |\n"), "{text}");
    }
}
