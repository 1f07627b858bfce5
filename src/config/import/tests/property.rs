//! Whatever stands in a file of theirs, each line is told and no secret is shown.

use super::*;

/// Whether no variable is to be two things of different forms, such as an address and a version: no value would do.
fn has_one_form(text: &str) -> bool {
    ["os.environ/A", "${B}"].iter().all(|variable| {
        let fields = text.lines().filter(|line| line.contains(variable));
        let names: std::collections::BTreeSet<_> = fields.filter_map(|line| line.trim().split(':').next()).collect();
        let forms = ["api_base", "api_version", "tenant_id", "client_id"];
        names.iter().filter(|name| forms.contains(name)).count() < 2
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 128, ..Default::default() })]
    #[test]
    fn whatever_stands_there_is_told_and_no_secret_is_shown(text in any_file()) {
        proptest::prop_assume!(has_one_form(&text));
        match of_text(&text) {
            Ok(import) => {
                proptest::prop_assert_eq!(refused(&import), &[], "{}\nof\n{}", import.text, text);
                let told = import.report.text(Path::new("emberway.yaml")).expect("text");
                let secret = told.lines().chain(import.text.lines()).find(|line| line.contains(SECRET));
                proptest::prop_assert_eq!(secret, None);
                let missed = missing("config.yaml", &text, &import.report.lines);
                proptest::prop_assert!(missed.is_empty(), "{:?} of\n{}", missed, text);
            }
            Err(error) => proptest::prop_assert!(false, "{error}\n{text}"),
        }
    }
}
