use super::super::pickle::{Array, Elements, Value, write_object, write_object_list};
use super::*;

/// Reads bytes as the pickle of one object.
fn read(pickle: &[u8]) -> Result<Pickled, IoError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let header = crate::npy::object_header(&[]);
    std::fs::write(&path, [header, pickle.to_vec()].concat()).unwrap();
    read_object_npy(&path)
}

#[test]
fn what_the_writer_writes_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let image = [1.5f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let dict: Value = vec![
        ("none".to_owned(), Value::None),
        ("yes".to_owned(), true.into()),
        ("n".to_owned(), 7usize.into()),
        ("large".to_owned(), Value::Int(-(1 << 40))),
        ("x".to_owned(), 0.25.into()),
        ("snr".to_owned(), Value::Float32(0.5)),
        ("name".to_owned(), "µm".into()),
        ("long".to_owned(), "a".repeat(300).into()),
        (
            "list".to_owned(),
            Value::List(vec![1usize.into(), 2usize.into()]),
        ),
        (
            "image".to_owned(),
            Array::new(&[2, 3], Elements::Float32(&image)).into(),
        ),
        (
            "flags".to_owned(),
            Array::new(&[2], Elements::Bool(vec![true, false])).into(),
        ),
    ]
    .into();
    write_object_list(&path, &[dict.clone(), dict.clone()]).unwrap();
    let read = read_object_npy(&path).unwrap();
    assert_eq!(read.objects().len(), 2);
    for object in read.objects() {
        let number = |key: &str| object.get(key).unwrap().as_f64().unwrap();
        assert!(object.get("none").unwrap().is_none());
        assert_eq!(object.get("yes").unwrap().as_bool(), Some(true));
        assert_eq!((number("n"), number("x"), number("snr")), (7.0, 0.25, 0.5));
        assert_eq!(object.get("large").unwrap().as_int(), Some(-(1 << 40)));
        assert_eq!(object.get("name").unwrap().as_text(), Some("µm"));
        assert_eq!(object.get("long").unwrap().as_text().unwrap().len(), 300);
        let list = object.get("list").unwrap().numbers().unwrap();
        assert_eq!((list.values, list.kind), (vec![1.0, 2.0], "i8"));
        let found = object.get("image").unwrap().numbers().unwrap();
        assert_eq!((found.shape, found.kind), (vec![2, 3], "f4"));
        assert_eq!(found.values, image.map(f64::from));
        assert_eq!(object.get("flags").unwrap().numbers().unwrap().kind, "b1");
        assert_eq!(object.entries().unwrap().len(), 11);
    }
    write_object(&path, &dict).unwrap();
    let read = read_object_npy(&path).unwrap();
    assert_eq!(read.objects().len(), 1);
    assert!(read.objects()[0].get("yes").is_some());
}

/// Python would run `os.system`; here it is a value that says nothing, and what is beside it is read.
#[test]
fn nothing_is_called() {
    let read = read(b"\x80\x04}(\x8c\x01acos\nsystem\n(X\x02\0\0\0lstR\x8c\x01bK\x05u.").unwrap();
    let [object] = read.objects()[..] else {
        panic!("one object")
    };
    let called = object.get("a").unwrap();
    assert!(called.is_opaque() && called.numbers().is_none() && called.as_text().is_none());
    assert_eq!(object.get("b").unwrap().as_int(), Some(5));
}

#[test]
fn a_list_that_holds_itself_is_no_trouble() {
    let circular = read(b"\x80\x04]\x94h\0a.").unwrap();
    let items = circular.objects();
    assert_eq!(items.len(), 1);
    assert!(items[0].numbers().is_none());
    // Deeper than any stack of calls: it is read, and goes away, without one.
    let mut deep = vec![b']'; 200_000];
    deep.resize(399_999, b'a');
    deep.push(b'.');
    assert_eq!(read(&deep).unwrap().objects().len(), 1);
}

#[test]
fn a_damaged_pickle_is_an_error_with_its_place() {
    for (pickle, what) in [
        (&b"\x80\x04"[..], "cut short"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffa.", "cut short"),
        (b"a.", "not there"),
        (b"(a.", "not there"),
        (b"e.", "lacks a mark"),
        (b"h\x07.", "refers to a value"),
        (b"N]a.", "no list"),
        (b"NNNs.", "no dictionary"),
        (b"i", "opcode 0x69"),
    ] {
        let error = read(pickle).unwrap_err().to_string();
        assert!(error.contains(what), "{pickle:?}: {error}");
        assert!(error.contains("byte 1"), "{error}");
    }
}

#[test]
fn an_array_whose_bytes_do_not_fit_its_shape_has_no_numbers() {
    let of = |shape: &[u8]| {
        [
            &b"\x80\x04cnumpy\n_reconstruct\n(tR(K\x01("[..],
            shape,
            b"tcnumpy\ndtype\n(X\x02\0\0\0f4tR\x89C\x08\0\0\x80\x3f\0\0\0\x40tb.",
        ]
        .concat()
    };
    let array = |shape: &[u8]| {
        let read = read(&of(shape)).unwrap();
        read.objects()[0].numbers()
    };
    assert_eq!(array(b"K\x02").unwrap().values, [1.0, 2.0]);
    assert_eq!(array(b"K\x03"), None);
    let huge = [b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f".as_slice(); 2].concat();
    assert_eq!(array(&huge), None);
}

proptest::proptest! {
    /// Whatever bytes: an answer or an error, and no panic.
    #[test]
    fn noise_is_an_answer_or_an_error(noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        if let Ok(read) = read(&noise) {
            for object in read.objects() {
                let _ = (object.numbers(), object.entries(), object.as_text());
            }
        }
    }
}
