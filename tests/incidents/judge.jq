# One line of judgement: what is said of one scenario, against what is expected of it.
($expected[0][$number]) as $want
| ($document[0].findings) as $found
| ($text | split("\n") | map(select(test("^(TRUTH|###)") | not)) | join("\n")) as $text
| ([$text | scan("CLOSE_WAIT (OK|WARNING|CRITICAL|UNKNOWN) - ")] | flatten | first) as $check
| def fits($finding; $one):
    ($one.cause == null or ($finding.cause | test("^(" + $one.cause + ")$")))
    and ($one.severity == null or ($finding.severity | test("^(" + $one.severity + ")$")))
    and ($one.owner == null or ($finding.summary | test($one.owner)))
    and ($one.says == null or ([$finding.summary, $finding.meaning] + $finding.evidence + $finding.next_steps | join("\n") | test($one.says)))
    and ($one.culprit == null or (($finding.culprit.kind // "") | test("^(" + $one.culprit + ")$")))
    and ($one.remote == null or (($finding.culprit.remote // {}) | "\(.addr):\(.port)") == $one.remote);
  # Words of a finding that only a fault earns.
  ["leak", "never closed", "does not accept the last answer", "infinite loop", "does not pass on", "not returned"] as $accusing
| ([$found[] | [.meaning] + .evidence | join("\n")] | join("\n")) as $words
| [
    (if $want.healthy then
        ($found[] | select(.severity != "info") | "\(.severity) \(.cause) where all is well"),
        ($accusing[] | . as $word | select($words | contains($word)) | "says \"\($word)\" where all is well"),
        (if $check != "OK" then "check says \($check)" else empty end)
     else empty end),
    (if $want.check and ($check // "" | test("^(" + $want.check + ")$") | not) then "check says \($check)" else empty end),
    ($want.never[]? | . as $word | select($text | test($word)) | "says \"\($word)\""),
    (if $want.most and ($found | length) > $want.most then "\($found | length) findings" else empty end)
  ] as $wrong
| [
    ($want.findings[]? | . as $one | select([$found[] | select(fits(.; $one))] | length == 0) | "no finding \($one | tojson)"),
    ($want.says[]? | . as $word | select($text | test($word) | not) | "does not say \"\($word)\"")
  ] as $missing
| if $wrong != [] then "\($number) wrong: \($wrong + $missing | join("; "))"
  elif $missing != [] then "\($number) ambiguous: \($missing | join("; "))"
  else "\($number) right" end
