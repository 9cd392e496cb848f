//! The one-to-one pairing of rows with columns that costs least in total (the linear assignment problem).
//!
//! Shortest augmenting paths with dual prices (Jonker & Volgenant 1987, in the rectangular form of Crouse 2016, "On
//! implementing 2D rectangular assignment algorithms"): rows are paired one after the other; each search is a
//! Dijkstra over columns in reduced costs. O(rows² · columns).
//!
//! Ties matter here: two tested units that are exact duplicates have equal scores, and which of them is paired decides
//! whether the other is called redundant. So ties are broken as scipy's `linear_sum_assignment` (the same paper) breaks
//! them: a free column is preferred, and columns are searched from the list's front, where the list starts in
//! descending order and a used column is replaced by the list's last.

/// Pairs (row, column), ascending by row, that minimise the sum of `cost(row, column)`.
///
/// There are `min(n_rows, n_columns)` pairs. Costs must be finite.
pub fn assign(
    n_rows: usize,
    n_columns: usize,
    cost: impl Fn(usize, usize) -> f64,
) -> Vec<(usize, usize)> {
    if n_rows <= n_columns {
        let column_of_row = assign_every_row(n_rows, n_columns, cost);
        column_of_row.into_iter().enumerate().collect()
    } else {
        let row_of_column = assign_every_row(n_columns, n_rows, |column, row| cost(row, column));
        let mut pairs: Vec<_> = row_of_column
            .into_iter()
            .enumerate()
            .map(|(column, row)| (row, column))
            .collect();
        pairs.sort_unstable();
        pairs
    }
}

/// For `n_rows <= n_columns`: the column of each row.
fn assign_every_row(
    n_rows: usize,
    n_columns: usize,
    cost: impl Fn(usize, usize) -> f64,
) -> Vec<usize> {
    let mut row_price = vec![0.0; n_rows];
    let mut column_price = vec![0.0; n_columns];
    let mut column_of_row: Vec<Option<usize>> = vec![None; n_rows];
    let mut row_of_column: Vec<Option<usize>> = vec![None; n_columns];
    let mut distance = vec![f64::INFINITY; n_columns];
    let mut reached_from = vec![0usize; n_columns];

    for new_row in 0..n_rows {
        distance.fill(f64::INFINITY);
        let mut open: Vec<usize> = (0..n_columns).rev().collect();
        let mut closed: Vec<usize> = Vec::new();
        let mut visited_rows = vec![new_row];
        let mut row = new_row;
        let mut shortest = 0.0;
        let end = loop {
            let mut nearest = f64::INFINITY;
            let mut nearest_at = 0;
            for (at, &column) in open.iter().enumerate() {
                let through = shortest + cost(row, column) - row_price[row] - column_price[column];
                if through < distance[column] {
                    distance[column] = through;
                    reached_from[column] = row;
                }
                let is_free = row_of_column[column].is_none();
                if distance[column] < nearest || (distance[column] == nearest && is_free) {
                    nearest = distance[column];
                    nearest_at = at;
                }
            }
            shortest = nearest;
            let column = open.swap_remove(nearest_at);
            closed.push(column);
            match row_of_column[column] {
                None => break column,
                Some(next) => {
                    row = next;
                    visited_rows.push(next);
                }
            }
        };

        row_price[new_row] += shortest;
        for &visited in &visited_rows[1..] {
            let column =
                column_of_row[visited].expect("a row that is reached through a column owns it");
            row_price[visited] += shortest - distance[column];
        }
        for &column in &closed {
            column_price[column] -= shortest - distance[column];
        }

        // Along the path back to the new row, each row takes the column it was left by.
        let mut column = end;
        loop {
            let owner = reached_from[column];
            row_of_column[column] = Some(owner);
            let given_up = column_of_row[owner].replace(column);
            match given_up {
                Some(previous) if owner != new_row => column = previous,
                _ => break,
            }
        }
    }
    column_of_row
        .into_iter()
        .map(|column| column.expect("every row is assigned"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sorting::clustering::random::Random;

    fn best_by_trying_all(
        n_rows: usize,
        n_columns: usize,
        cost: &dyn Fn(usize, usize) -> f64,
    ) -> f64 {
        fn go(
            row: usize,
            n_rows: usize,
            used: &mut Vec<bool>,
            cost: &dyn Fn(usize, usize) -> f64,
        ) -> f64 {
            if row == n_rows {
                return 0.0;
            }
            let mut best = f64::INFINITY;
            for column in 0..used.len() {
                if !used[column] {
                    used[column] = true;
                    best = best.min(cost(row, column) + go(row + 1, n_rows, used, cost));
                    used[column] = false;
                }
            }
            best
        }
        if n_rows <= n_columns {
            go(0, n_rows, &mut vec![false; n_columns], cost)
        } else {
            go(0, n_columns, &mut vec![false; n_rows], &|row, column| {
                cost(column, row)
            })
        }
    }

    #[test]
    fn the_sum_equals_that_of_trying_every_pairing() {
        let mut random = Random(5);
        for (n_rows, n_columns) in [
            (1, 1),
            (1, 4),
            (4, 1),
            (3, 3),
            (5, 5),
            (4, 6),
            (6, 4),
            (6, 6),
        ] {
            for _ in 0..20 {
                // Few distinct values, so that ties are common.
                let costs: Vec<f64> = (0..n_rows * n_columns)
                    .map(|_| -((random.uniform() * 5.0).floor()))
                    .collect();
                let cost = |row: usize, column: usize| costs[row * n_columns + column];
                let pairs = assign(n_rows, n_columns, cost);
                assert_eq!(pairs.len(), n_rows.min(n_columns));
                let mut columns: Vec<_> = pairs.iter().map(|pair| pair.1).collect();
                columns.sort_unstable();
                columns.dedup();
                assert_eq!(columns.len(), pairs.len(), "each column at most once");
                let sum: f64 = pairs.iter().map(|&(row, column)| cost(row, column)).sum();
                assert_eq!(
                    sum,
                    best_by_trying_all(n_rows, n_columns, &cost),
                    "{n_rows}×{n_columns}"
                );
            }
        }
    }

    #[test]
    fn equal_costs_give_the_diagonal() {
        assert_eq!(assign(3, 3, |_, _| 0.0), [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn an_empty_side_gives_no_pairs() {
        assert!(assign(0, 3, |_, _| 0.0).is_empty());
        assert!(assign(3, 0, |_, _| 0.0).is_empty());
    }
}
