//! Protobuf's wire format, as far as the few small messages of etcd's files take. Reading, unknown
//! fields are passed over, as everywhere; what is not the format at all is an error. Writing, fields that
//! are empty or 0 are left out, as proto3 has it.

/// A field that holds a number; none for 0.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u8, number: i64) {
    if number != 0 {
        out.push(field << 3);
        put_varint(out, number as u64);
    }
}

/// A field that holds bytes, or another message; none if there are none.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_message(out, field, bytes);
    }
}

/// A field that holds another message, be it empty.
pub(crate) fn put_message(out: &mut Vec<u8>, field: u8, message: &[u8]) {
    put_length(out, field, message.len());
    out.extend_from_slice(message);
}

/// What goes before a field's bytes.
pub(crate) fn put_length(out: &mut Vec<u8>, field: u8, length: usize) {
    out.push(field << 3 | 2);
    put_varint(out, length as u64);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What a field holds. Numbers that are fixed in size are of no interest here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> Value<'a> {
    pub(crate) fn number(self) -> u64 {
        if let Self::Number(number) = self { number } else { 0 }
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        if let Self::Bytes(bytes) = self { bytes } else { &[] }
    }
}

/// It is not the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message in their order, each with its number.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        if tag >> 3 == 0 { Err(Malformed) } else { Ok((tag >> 3, value)) }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        put_number(&mut out, 1, 0);
        put_number(&mut out, 2, -1);
        put_bytes(&mut out, 3, b"");
        put_bytes(&mut out, 4, b"bytes");
        put_message(&mut out, 5, b"");
        let fields: Vec<_> = Fields::of(&out).map(|field| field.expect("sound")).collect();
        let expected =
            [(2, Value::Number(u64::MAX)), (4, Value::Bytes(b"bytes")), (5, Value::Bytes(b""))];
        assert_eq!(fields, expected);
    }

    #[test]
    fn fields_come_in_their_order_and_nonsense_ends_them() {
        let fields: Vec<_> = Fields::of(b"\x08\x96\x01\x12\x02hi\x1d1234").collect();
        let expected =
            [Ok((1, Value::Number(150))), Ok((2, Value::Bytes(b"hi"))), Ok((3, Value::Fixed))];
        assert_eq!(fields, expected);
        for nonsense in [&b"\x08"[..], b"\x12\x05hi", b"\x0b", b"\x00\x00", &[0xff; 12]] {
            assert_eq!(Fields::of(nonsense).last(), Some(Err(Malformed)), "{nonsense:?}");
        }
    }
}
