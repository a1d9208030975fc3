//! Decimal digits of a fixed number, without the formatter's detours.
//!
//! Sequence numbers, shard ids and times stand in every record of every answer: printed one by one through `fmt` they cost
//! an answer more than its base64 does. Used where those are printed; everything else is printed by `fmt`.

/// Every number of two digits, in order.
const PAIRS: &[u8; 200] =
    b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// Fills `out` with the last digits of `number`, zeros in front.
#[inline]
pub fn write_padded(mut number: u64, out: &mut [u8]) {
    let mut end = out.len();
    while end >= 8 {
        out[end - 8..end].copy_from_slice(&eight_digits((number % 100_000_000) as u32));
        number /= 100_000_000;
        end -= 8;
    }
    while end >= 2 {
        let pair = (number % 100) as usize * 2;
        number /= 100;
        out[end - 2..end].copy_from_slice(&PAIRS[pair..pair + 2]);
        end -= 2;
    }
    if end == 1 {
        out[0] = b'0' + (number % 10) as u8;
    }
}

/// The digits of a number below 10^8, all at once: fours, twos and ones are divided side by side in one word.
#[inline]
fn eight_digits(number: u32) -> [u8; 8] {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f; // x * 10486 >> 20 is x / 100 below 10^4
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f; // x * 103 >> 10 is x / 10 below 100
    let ones = tens | (twos - tens * 10) << 8;
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digits_are_those_that_the_formatter_prints(number: u64, width in 0..=20usize) {
            let mut out = vec![b'x'; width];
            write_padded(number, &mut out);
            let all = format!("{number:020}");
            prop_assert_eq!(String::from_utf8(out).unwrap(), &all[20 - width..]);
        }
    }
}
