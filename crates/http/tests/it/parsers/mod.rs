//! Properties of the parsers, for their corpus, for what is near to it, and for anything.

mod properties;

use proptest::prelude::*;

use self::properties::ALL;

/// The inputs that are kept for a parser: `fuzz/corpus/<name>/`.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = format!("{}/../../fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory}: {error}"));
    files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn what_must_hold_holds_for_the_corpus() {
    for (name, property) in ALL {
        let inputs = corpus(name);
        assert!(inputs.len() >= 2, "{name} has no corpus");
        inputs.iter().for_each(|input| property(input));
    }
}

/// Words of the corpora and of the grammars, and single bytes.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<Vec<u8>> = ALL
        .iter()
        .flat_map(|(name, _)| corpus(name))
        .flat_map(|input| {
            let parts = input.split(|byte| b" ,=\n\"?&/".contains(byte)).map(<[u8]>::to_vec).collect::<Vec<_>>();
            parts.into_iter().chain([input])
        })
        .filter(|word| !word.is_empty())
        .collect();
    let piece = prop_oneof![
        4 => proptest::sample::select(words),
        4 => proptest::sample::select(b" ,=\n\"?&/;-%.*#\\:0129aA\t".to_vec()).prop_map(|byte| vec![byte]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_must_hold_holds_near_the_corpus(input in near()) {
        ALL.iter().for_each(|(_, property)| property(&input));
    }

    #[test]
    fn what_must_hold_holds_for_anything(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        ALL.iter().for_each(|(_, property)| property(&input));
    }
}
