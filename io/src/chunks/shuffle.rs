//! The byte shuffle: bytes of one significance side by side pack better.

/// From all first bytes, all second bytes … to elements; what is no whole element at the end stays as it is.
pub(crate) fn unshuffle(shuffled: &[u8], plain: &mut [u8], element_bytes: usize) {
    let n_elements = plain.len() / element_bytes.max(1);
    let n_whole = n_elements * element_bytes;
    plain[n_whole..].copy_from_slice(&shuffled[n_whole..]);
    if n_elements == 0 {
        return;
    }
    for (byte, row) in shuffled[..n_whole].chunks_exact(n_elements).enumerate() {
        for (element, value) in plain[..n_whole].chunks_exact_mut(element_bytes).zip(row) {
            element[byte] = *value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_elements_come_back_in_order() {
        let cases: [(&[u8], usize, &[u8]); 4] = [
            (&[1, 2, 3, 11, 12, 13, 9], 2, &[1, 11, 2, 12, 3, 13, 9]),
            (&[7, 8], 4, &[7, 8]),
            (&[7, 8], 1, &[7, 8]),
            (&[], 4, &[]),
        ];
        for (shuffled, element_bytes, wanted) in cases {
            let mut plain = vec![0; shuffled.len()];
            unshuffle(shuffled, &mut plain, element_bytes);
            assert_eq!(plain, wanted);
        }
    }
}
