#!/usr/bin/env bash
# On demand, as root on Debian: gives the output of `closewait --prometheus` to promtool and to the textfile
# collector of node_exporter. Installs prometheus and prometheus-node-exporter if they are missing.
#
#   tests/consumers/promtool.sh target/debug/closewait
set -euo pipefail
closewait=$(realpath "${1:?which closewait?}")
for tool in promtool:prometheus prometheus-node-exporter:prometheus-node-exporter curl:curl; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [[ -n ${missing[*]-} ]]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
work=$(mktemp -d)
exporter=
finish() {
    [[ -z $exporter ]] || kill "$exporter" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

echo "== promtool check metrics"
"$closewait" --prometheus | promtool check metrics
echo "promtool: accepted"
# What it would say if the text were broken.
if "$closewait" --prometheus | sed 's/^closewait_up 1/closewait_up x/' | promtool check metrics 2>/dev/null; then
    echo "promtool accepts anything" >&2
    exit 1
fi

echo "== node_exporter, textfile collector"
chmod 755 "$work"
"$closewait" --prometheus --output "$work/closewait.prom"
prometheus-node-exporter --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory="$work" --web.listen-address=127.0.0.1:19100 2>"$work/log" &
exporter=$!
for _ in $(seq 50); do
    curl -fsS -o "$work/scraped" http://127.0.0.1:19100/metrics 2>/dev/null && break
    sleep 0.2
done
grep '^node_textfile_scrape_error' "$work/scraped"
grep -q '^node_textfile_scrape_error 0' "$work/scraped"
written=$(grep -c '^closewait_' "$work/closewait.prom")
scraped=$(grep -c '^closewait_' "$work/scraped")
echo "samples written: $written, scraped: $scraped"
[[ $written == "$scraped" ]]

echo "== promtool check rules, promtool test rules"
promtool check rules docs/examples/closewait.rules.yml
promtool test rules docs/examples/closewait.rules.test.yml
