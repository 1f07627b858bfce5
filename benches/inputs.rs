//! Made inputs, shared by the benchmarks and `tests/allocations.rs`: bodies and streams as they look in service.

use std::fmt::Write as _;

/// A streamed chat completion request of `bytes` bytes at least, in turns of about half a KiB with a few escapes.
pub(crate) fn chat_body(bytes: usize) -> String {
    let mut body = r#"{"model":"support-bot","temperature":0.2,"stream":true,"messages":[{"role":"system","content":"You answer questions about \"Contoso\".\nBe brief."}"#.to_owned();
    let sentence = "The parcel with the number 4711 has not come, and the page shows nothing since Monday. ";
    for role in ["user", "assistant"].iter().cycle() {
        if body.len() + 2 >= bytes {
            break;
        }
        body.push_str(r#",{"role":""#);
        body.push_str(role);
        body.push_str(r#"","content":""#);
        for _ in 0..6 {
            body.push_str(sentence);
        }
        body.push_str(r#"Caf\u00e9\n"}"#);
    }
    body.push_str("]}");
    body
}

/// A chat completion request of about `bytes` bytes, as one who asks about documents sends it: a system message, then turns of one
/// to two KiB in wrapped lines with quotes, list items and accents, so that an escape comes every 65 bytes or so. Each `number` is
/// another conversation.
pub(crate) fn documents_body(bytes: usize, number: usize) -> String {
    const LINES: [&str; 7] = [
        r"The parcel left the depot on Monday and was scanned twice on its way north, in Uelzen and in Celle.\n",
        r#"Its status is \"in transit\", as the page of the carrier says, and nothing has come after that line.\n"#,
        r"- weight: 2.4 kg, insured, to be signed for by the one who is named on the label, and by nobody else\n",
        r"- sender: Caf\u00e9 Zentral, Herrengasse 14, who ask to be told by mail on the day when it has come\n\n",
        r"A parcel that has not moved for ten days counts as lost, and its sender is refunded, postage too.\n",
        r"Before that the driver is asked, since many are left with neighbours or in a garage without a word.\n",
        r"See also what to do when nobody is at home, and the terms of insured parcels in their latest form.\n",
    ];
    let mut body = format!(
        r#"{{"model":"support-bot","temperature":0.2,"messages":[{{"role":"system","content":"You answer for carrier {number}.\nBe \"brief\"."}}"#
    );
    let mut lines = LINES.iter().cycle();
    for (role, turn) in ["user", "assistant"].iter().cycle().zip(12_usize..) {
        // Writing to a string cannot fail.
        let _ = write!(body, r#",{{"role":"{role}","content":""#);
        for line in lines.by_ref().take(turn % 13 + 6) {
            if body.len() + line.len() + 5 > bytes {
                body.push_str(r#"?"}]}"#);
                return body;
            }
            body.push_str(line);
        }
        body.push_str(r#""}"#);
    }
    body
}

/// A stream of `events` events as Azure sends it to a gateway that asked for usage: a token each, `"usage":null` in all
/// but the last report.
pub(crate) fn stream(events: usize) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..events - 2 {
        let (delta, finish) = match number {
            0 => (r#"{"role":"assistant","content":"","refusal":null}"#.to_owned(), "null"),
            last if last == events - 3 => ("{}".to_owned(), r#""stop""#),
            token => (format!(r#"{{"content":" word{token}"}}"#), "null"),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"data: {{"choices":[{{"content_filter_results":{{}},"delta":{delta},"finish_reason":{finish},"index":0,"logprobs":null}}],"created":1764000000,"id":"chatcmpl-0123456789","model":"gpt-4.1-2025-04-14","object":"chat.completion.chunk","system_fingerprint":"fp_0123456789","usage":null}}"#
        );
        text.push_str("\n\n");
    }
    text.push_str(r#"data: {"choices":[],"created":1764000000,"id":"chatcmpl-0123456789","model":"gpt-4.1-2025-04-14","object":"chat.completion.chunk","usage":{"completion_tokens":198,"prompt_tokens":2048,"prompt_tokens_details":{"cached_tokens":1920},"total_tokens":2246}}"#);
    text.push_str("\n\ndata: [DONE]\n\n");
    text.into_bytes()
}
