#!/usr/bin/env bash
# On demand, as root on Debian: lets Nagios run `closewait check`, once for each status, and shows its
# result. Installs nagios4-core if it is missing.
#
#   tests/consumers/nagios.sh target/debug/closewait
set -euo pipefail
closewait=$(realpath "${1:?which closewait?}")
command -v nagios4 >/dev/null || {
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nagios4-core
}
work=$(mktemp -d)
nagios=
finish() {
    [[ -z $nagios ]] || kill "$nagios" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
mkdir "$work/results"
chmod 777 "$work" "$work/results"

# Each service with the status that it must come to, in a network namespace without a socket.
cat >"$work/objects.cfg" <<END
define timeperiod {
  timeperiod_name always
  alias always
  sunday 00:00-24:00
  monday 00:00-24:00
  tuesday 00:00-24:00
  wednesday 00:00-24:00
  thursday 00:00-24:00
  friday 00:00-24:00
  saturday 00:00-24:00
}
define contact {
  contact_name nobody
  host_notification_period always
  service_notification_period always
  host_notification_commands nothing
  service_notification_commands nothing
}
define command {
  command_name nothing
  command_line /bin/true
}
define command {
  command_name check_closewait
  command_line unshare -n $closewait check --by total \$ARG1\$
}
define host {
  host_name here
  address 127.0.0.1
  max_check_attempts 1
  check_period always
  notification_period always
  contacts nobody
}
END
for service in 'OK!-c 1000000' 'WARNING!-w 1:' 'CRITICAL!-c 1:' 'UNKNOWN!-w 2:1'; do
    cat >>"$work/objects.cfg" <<END
define service {
  host_name here
  service_description ${service%%!*}
  check_command check_closewait!${service#*!}
  max_check_attempts 1
  check_interval 1
  retry_interval 1
  check_period always
  notification_period always
  contacts nobody
}
END
done
cat >"$work/nagios.cfg" <<END
cfg_file=$work/objects.cfg
log_file=$work/log
object_cache_file=$work/objects.cache
status_file=$work/status
lock_file=$work/lock
temp_file=$work/temp
temp_path=$work
check_result_path=$work/results
state_retention_file=$work/retention
command_file=$work/command
query_socket=$work/query
nagios_user=root
nagios_group=root
status_update_interval=1
execute_host_checks=0
service_inter_check_delay_method=n
interval_length=60
END
nagios4 -v "$work/nagios.cfg" >"$work/out" || { cat "$work/out" >&2; exit 1; }
nagios4 "$work/nagios.cfg" >"$work/out" 2>&1 &
nagios=$!
concluded() {
    awk '/^servicestatus \{/ { is = 1 }
         is && sub(/^\tservice_description=/, "") { name = $0 }
         is && sub(/^\tcurrent_state=/, "") { state = $0 }
         is && sub(/^\tplugin_output=/, "") { output = $0 }
         is && sub(/^\tperformance_data=/, "") { data = $0 }
         is && sub(/^\tlast_check=/, "") { checked = $0 }
         /^\t\}/ { if (is && checked > 0) print name "\t" state "\t" output "\t" data; is = 0 }' "$work/status" 2>/dev/null
}
for _ in $(seq 120); do
    [[ $(concluded | wc -l) == 4 ]] && break
    sleep 0.5
done
concluded
expected=$'CRITICAL\t2\nOK\t0\nUNKNOWN\t3\nWARNING\t1'
[[ $(concluded | cut -f1,2 | sort) == "$expected" ]] || {
    echo "nagios concluded otherwise" >&2
    tail -n 20 "$work/log" "$work/out" >&2
    exit 1
}
echo "nagios concluded what the checks said"
