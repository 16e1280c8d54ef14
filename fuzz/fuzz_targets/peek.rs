//! Any bytes as those that a program has not read: they are recognized or not, and what is kept of them is
//! short and lies among them.

#![no_main]

use closewait::collector::peek::content;
use closewait::model::Content;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let texts = match content::of(bytes) {
        Content::Request {
            method,
            path,
            user_agent,
        } => {
            let secrets: [&[u8]; 3] = [b"?", b"#", b";"];
            for secret in secrets {
                assert!(!path.bytes().windows(1).any(|byte| byte == secret));
            }
            vec![method, Some(path), user_agent]
        }
        Content::Hello { server_name, alpn } => {
            assert!(alpn.len() <= 4);
            let names = alpn.into_iter().map(Some);
            std::iter::once(server_name).chain(names).collect()
        }
        Content::Redis(command) => vec![Some(command)],
        _ => Vec::new(),
    };
    for text in texts.into_iter().flatten() {
        assert!(text.bytes().len() <= 256, "{text}");
    }
});
