//! The defaults that are known, each compared with its documentation or source in the given month.
//!
//! Left out are timeouts that close no connection (conntrack and load balancers that forget it without
//! a FIN), that only limit connecting, that wait for a place in a pool, and those that are only checked
//! now and then, so that the time of the FIN shows them too vaguely (HikariCP, hyper, aiohttp, .NET).

use super::{Setting, Silence, User};

const CHECKED: &str = "2026-11";

const fn setting(
    silence: Silence,
    milliseconds: u32,
    name: &'static str,
    user: User,
    source: &'static str,
) -> Setting {
    Setting {
        name,
        milliseconds,
        silence,
        user,
        source,
        checked: CHECKED,
    }
}

const NGINX: User = User::Named(&["nginx"]);
const ENVOY: User = User::Named(&["envoy"]);
const APACHE: User = User::Named(&["apache2", "httpd"]);
const JAVA: User = User::Named(&["java"]);
const NODE: User = User::Named(&["node"]);
const PYTHON: User = User::Named(&["python", "gunicorn", "uvicorn", "hypercorn"]);

const NGINX_CORE: &str = "https://nginx.org/en/docs/http/ngx_http_core_module.html";
const NGINX_PROXY: &str = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html";
const NGINX_FASTCGI: &str = "https://nginx.org/en/docs/http/ngx_http_fastcgi_module.html";
const NGINX_UPSTREAM: &str = "https://nginx.org/en/docs/http/ngx_http_upstream_module.html";
const ENVOY_FAQ: &str = "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts";
const ELB: &str =
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-idle-timeout.html";
const CLOUDFRONT: &str =
    "https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_VpcOriginConfig.html";
const GOOGLE: &str = "https://cloud.google.com/load-balancing/docs/https";
const NODE_HTTP: &str = "https://nodejs.org/api/http.html";
const TOMCAT: &str = "https://tomcat.apache.org/tomcat-10.1-doc/config/http.html";
const APACHE_CORE: &str = "https://httpd.apache.org/docs/2.4/mod/core.html";

/// By silence and time; of equal ones the most common first.
pub(super) static TABLE: &[Setting] = &[
    setting(
        Silence::Unanswered,
        1_000,
        "Kubernetes probe timeoutSeconds",
        User::Named(&["kubelet"]),
        "https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
    ),
    setting(
        Silence::Unanswered,
        5_000,
        "httpx timeout",
        PYTHON,
        "https://www.python-httpx.org/advanced/timeouts/",
    ),
    setting(
        Silence::Unanswered,
        10_000,
        "Prometheus scrape_timeout",
        User::Named(&["prometheus"]),
        "https://prometheus.io/docs/prometheus/latest/configuration/configuration/",
    ),
    setting(
        Silence::Unanswered,
        10_000,
        "OkHttp readTimeout",
        JAVA,
        "https://square.github.io/okhttp/5.x/okhttp/okhttp3/-ok-http-client/-builder/read-timeout.html",
    ),
    setting(
        Silence::Unanswered,
        15_000,
        "Envoy route timeout",
        ENVOY,
        ENVOY_FAQ,
    ),
    setting(
        Silence::Unanswered,
        29_000,
        "AWS API Gateway integration timeout",
        User::Elsewhere,
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html",
    ),
    setting(
        Silence::Unanswered,
        30_000,
        "CloudFront origin response timeout",
        User::Elsewhere,
        CLOUDFRONT,
    ),
    setting(
        Silence::Unanswered,
        30_000,
        "Google Cloud backend service timeout",
        User::Elsewhere,
        GOOGLE,
    ),
    setting(
        Silence::Unanswered,
        30_000,
        "Heroku router timeout",
        User::Elsewhere,
        "https://devcenter.heroku.com/articles/request-timeout",
    ),
    setting(
        Silence::Unanswered,
        60_000,
        "nginx proxy_read_timeout",
        NGINX,
        NGINX_PROXY,
    ),
    setting(
        Silence::Unanswered,
        60_000,
        "AWS load balancer idle timeout",
        User::Elsewhere,
        ELB,
    ),
    setting(
        Silence::Unanswered,
        60_000,
        "Apache ProxyTimeout",
        APACHE,
        "https://httpd.apache.org/docs/2.4/mod/mod_proxy.html",
    ),
    setting(
        Silence::Unanswered,
        60_000,
        "nginx fastcgi_read_timeout",
        NGINX,
        NGINX_FASTCGI,
    ),
    setting(
        Silence::Unanswered,
        300_000,
        "Envoy stream_idle_timeout",
        ENVOY,
        ENVOY_FAQ,
    ),
    setting(
        Silence::Unanswered,
        300_000,
        "aiohttp ClientTimeout total",
        PYTHON,
        "https://docs.aiohttp.org/en/stable/client_quickstart.html",
    ),
    setting(
        Silence::IdleClient,
        5_000,
        "Node.js http.globalAgent timeout",
        NODE,
        NODE_HTTP,
    ),
    setting(
        Silence::IdleClient,
        5_000,
        "CloudFront origin keep-alive timeout",
        User::Elsewhere,
        CLOUDFRONT,
    ),
    setting(
        Silence::IdleClient,
        60_000,
        "nginx upstream keepalive_timeout",
        NGINX,
        NGINX_UPSTREAM,
    ),
    setting(
        Silence::IdleClient,
        60_000,
        "AWS load balancer idle timeout",
        User::Elsewhere,
        ELB,
    ),
    setting(
        Silence::IdleClient,
        90_000,
        "Go http.DefaultTransport IdleConnTimeout",
        User::Any,
        "https://pkg.go.dev/net/http#DefaultTransport",
    ),
    setting(
        Silence::IdleClient,
        600_000,
        "Google Cloud load balancer keepalive timeout",
        User::Elsewhere,
        GOOGLE,
    ),
    setting(
        Silence::IdleClient,
        3_600_000,
        "Envoy upstream idle_timeout",
        ENVOY,
        ENVOY_FAQ,
    ),
    setting(
        Silence::IdleServer,
        2_000,
        "gunicorn keepalive",
        PYTHON,
        "https://docs.gunicorn.org/en/stable/settings.html",
    ),
    setting(
        Silence::IdleServer,
        5_000,
        "Node.js keepAliveTimeout",
        NODE,
        NODE_HTTP,
    ),
    setting(
        Silence::IdleServer,
        5_000,
        "Apache KeepAliveTimeout",
        APACHE,
        APACHE_CORE,
    ),
    setting(
        Silence::IdleServer,
        5_000,
        "uvicorn timeout-keep-alive",
        PYTHON,
        "https://www.uvicorn.org/settings/",
    ),
    setting(
        Silence::IdleServer,
        5_000,
        "Hypercorn keep_alive_timeout",
        PYTHON,
        "https://hypercorn.readthedocs.io/en/latest/how_to_guides/configuring.html",
    ),
    setting(
        Silence::IdleServer,
        6_000,
        "Node.js keepAliveTimeout + keepAliveTimeoutBuffer",
        NODE,
        NODE_HTTP,
    ),
    setting(
        Silence::IdleServer,
        20_000,
        "Tomcat connectionTimeout of its server.xml",
        JAVA,
        TOMCAT,
    ),
    setting(
        Silence::IdleServer,
        30_000,
        "Jetty idleTimeout",
        JAVA,
        "https://jetty.org/docs/jetty/12/operations-guide/modules/standard.html",
    ),
    setting(
        Silence::IdleServer,
        60_000,
        "AWS load balancer idle timeout",
        User::Elsewhere,
        ELB,
    ),
    setting(
        Silence::IdleServer,
        60_000,
        "Tomcat connectionTimeout",
        JAVA,
        TOMCAT,
    ),
    setting(
        Silence::IdleServer,
        66_000,
        "Node.js keepAliveTimeout + keepAliveTimeoutBuffer",
        NODE,
        NODE_HTTP,
    ),
    setting(
        Silence::IdleServer,
        75_000,
        "nginx keepalive_timeout",
        NGINX,
        NGINX_CORE,
    ),
    setting(
        Silence::IdleServer,
        75_000,
        "aiohttp run_app keepalive_timeout",
        PYTHON,
        "https://docs.aiohttp.org/en/stable/web_reference.html",
    ),
    setting(
        Silence::IdleServer,
        130_000,
        "Kestrel KeepAliveTimeout",
        User::Any,
        "https://learn.microsoft.com/dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits.keepalivetimeout",
    ),
    setting(
        Silence::IdleServer,
        3_600_000,
        "Envoy downstream idle_timeout",
        ENVOY,
        ENVOY_FAQ,
    ),
    setting(
        Silence::IdleServer,
        28_800_000,
        "MySQL wait_timeout",
        User::Named(&["mysqld", "mariadbd"]),
        "https://dev.mysql.com/doc/refman/8.0/en/server-system-variables.html",
    ),
];
