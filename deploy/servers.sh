# Sourced by quickstart: Redis, nginx and Kafka of the trial. What it uses of quickstart: run, logs, here, broker, and the
# functions that talk, wait, and end a process only after /proc has shown that it is ours.
# shellcheck shell=bash disable=SC2154,SC2034

redis_limit_s=20
nginx_limit_s=10

redis_pid() {
    local pid
    pid=$(read_pid "$run/redis/pid") || return 1
    [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(readlink -f "$run/redis")" ] || return 1
    case "$(readlink "/proc/$pid/exe" 2>/dev/null)" in */redis-*) printf '%s' "$pid" ;; *) return 1 ;; esac
}

nginx_pid() {
    local pid
    pid=$(read_pid "$run/nginx/pid") || return 1
    case "$(readlink "/proc/$pid/exe" 2>/dev/null)" in */nginx | */nginx' (deleted)') ;; *) return 1 ;; esac
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$run/nginx/nginx.conf" && printf '%s' "$pid"
}

redis_answers() { # pid, port
    local reply
    listens "$1" "$2" || return 1
    reply=$(
        { exec 3<>"/dev/tcp/127.0.0.1/$2"; } 2>/dev/null || exit 1
        printf 'PING\r\n' >&3
        timeout 2 head -c 5 <&3
    ) || return 1
    [ "$reply" = +PONG ]
}

write_redis_conf() { # port
    cat >"$run/redis/redis.conf" <<CONF
port $1
bind 127.0.0.1
dir $run/redis
logfile $logs/redis.log
daemonize no
save ""
appendonly yes
maxmemory-policy noeviction
lazyfree-lazy-expire yes
CONF
}

launch_redis() { # port; 0 when it answers
    local pid deadline=$((SECONDS + redis_limit_s)) next=$(($(now_ms) + heartbeat_ms))
    write_redis_conf "$1"
    (cd "$run/redis" && exec setsid redis-server "$run/redis/redis.conf" </dev/null >>"$logs/redis.log" 2>&1 7>&-) &
    pid=$!
    printf '%s\n' "$pid" >"$run/redis/pid"
    while [ "$SECONDS" -lt "$deadline" ]; do
        kill -0 "$pid" 2>/dev/null || return 1
        redis_answers "$pid" "$1" && return 0
        if [ "$(now_ms)" -ge "$next" ]; then
            say "  ... Redis: $(last_line "$logs/redis.log" || true)"
            next=$(($(now_ms) + heartbeat_ms))
        fi
        sleep 0.05
    done
    return 1
}

# Keeps its port over restarts where it can: a running worker then finds it again.
start_redis() {
    local port='' try
    [ ! -r "$run/redis/port" ] || read -r port <"$run/redis/port" || true
    if redis_pid >/dev/null; then
        say "Redis: running on 127.0.0.1:$port, kept"
        redis_address=127.0.0.1:$port
        return 0
    fi
    mkdir -p "$run/redis"
    for try in 1 2 3; do
        [[ $try = 1 && $port =~ ^[0-9]+$ ]] || port=$(free_port "$port")
        if launch_redis "$port"; then
            printf '%s\n' "$port" >"$run/redis/port"
            say "Redis: answers on 127.0.0.1:$port (append-only file in $(shown "$run/redis"))"
            redis_address=127.0.0.1:$port
            return 0
        fi
        end_process Redis 2 redis_pid
    done
    tail -n 5 "$logs/redis.log" >&2 || true
    die "redis-server did not start; log: $logs/redis.log"
}

# Two servers: one plays the image hosts of the sample, the other serves what the images worker stored.
write_nginx_conf() { # port of the hosts, port of the store
    sed -e "s|listen 80;|listen 127.0.0.1:$2;|" -e "s|server_name .*|server_name 127.0.0.1;|" -e "s|root .*|root $run/images;|" \
        "$here/images/nginx.conf" >"$run/nginx/store.conf"
    cat >"$run/nginx/nginx.conf" <<CONF
daemon off;
user $(id -un);
worker_processes 1;
pid $run/nginx/nginx.pid;
error_log $logs/nginx.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $run/nginx/body;
    proxy_temp_path $run/nginx/proxy;
    fastcgi_temp_path $run/nginx/fastcgi;
    uwsgi_temp_path $run/nginx/uwsgi;
    scgi_temp_path $run/nginx/scgi;
    types { image/jpeg jpg; }
    # Every path of the sample's hosts is one of these pictures.
    split_clients "\$uri" \$picture { 20% night-train; 20% moon; 20% harbour; 20% storm; * forest; }
    server {
        listen 127.0.0.1:$1;
        root $here/sample/pictures;
        location / { try_files /\$picture.jpg =404; }
    }
    include $run/nginx/store.conf;
}
CONF
}

launch_nginx() { # port of the hosts, port of the store; 0 when both are listened on
    local pid deadline=$((SECONDS + nginx_limit_s)) nginx
    nginx=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) || die "nginx is missing; deploy/install-deps installs it (package nginx-light)"
    write_nginx_conf "$@"
    setsid "$nginx" -c "$run/nginx/nginx.conf" -e "$logs/nginx.log" </dev/null >/dev/null 2>&1 7>&- &
    pid=$!
    printf '%s\n' "$pid" >"$run/nginx/pid"
    while [ "$SECONDS" -lt "$deadline" ]; do
        kill -0 "$pid" 2>/dev/null || return 1
        listens "$pid" "$1" && listens "$pid" "$2" && return 0
        sleep 0.05
    done
    return 1
}

# Keeps its ports over restarts where it can: they stand in the option file and in the records.
start_nginx() {
    local hosts='' store='' try
    [ ! -r "$run/nginx/ports" ] || read -r hosts store <"$run/nginx/ports" || true
    mkdir -p "$run/nginx" "$run/images"
    if nginx_pid >/dev/null; then
        say "nginx: running, the sample's image hosts on 127.0.0.1:$hosts, our pictures on 127.0.0.1:$store, kept"
    else
        for try in 1 2 3; do
            [[ $try = 1 && $hosts =~ ^[0-9]+$ && $store =~ ^[0-9]+$ ]] || { hosts=$(free_port "$hosts"); store=$(free_port "$hosts" "$store"); }
            if launch_nginx "$hosts" "$store"; then break; fi
            end_process nginx 2 nginx_pid
            [ "$try" != 3 ] || { tail -n 5 "$logs/nginx.log" >&2 || true; die "nginx did not start; log: $logs/nginx.log"; }
        done
        printf '%s %s\n' "$hosts" "$store" >"$run/nginx/ports"
        say "nginx: plays the sample's image hosts on 127.0.0.1:$hosts, serves our pictures on 127.0.0.1:$store"
    fi
    hosts_port=$hosts store_port=$store
}

start_servers() {
    local before
    before=$("$broker" status "$run/kafka" || true)
    # Kafka takes the longest, so it starts first.
    begin kafka "Kafka: starting a broker in $(shown "$run/kafka")" "$broker" start "$run/kafka"
    start_redis
    start_nginx
    await kafka || fail_step kafka "Its own log is $run/kafka/broker.log."
    kafka_address=$(grep -m 1 '^127\.0\.0\.1:' "$logs/kafka.log") || fail_step kafka "It named no address."
    case "$before" in
        running*) say "Kafka: running on $kafka_address, kept" ;;
        *) say "Kafka: answers on $kafka_address" ;;
    esac
}

# The data stay.
stop_servers() {
    if "$broker" status "$run/kafka" >/dev/null; then
        say "Kafka: stopping"
        "$broker" stop "$run/kafka"
    fi
    if redis_pid >/dev/null; then
        say "Redis: stopping"
        end_process Redis "$redis_limit_s" redis_pid
    fi
    if nginx_pid >/dev/null; then
        say "nginx: stopping"
        end_process nginx "$nginx_limit_s" nginx_pid
    fi
    rm -f "$run/redis/pid" "$run/nginx/pid"
}
