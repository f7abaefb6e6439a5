vcl 4.1;
backend default { .host = "@backend_host@"; .port = "@backend_port@"; }
# Varnish does not cache requests with Authorization unless it is told to, and then by whom they are.
sub vcl_recv {
    if (req.url ~ "^/items/") { return (hash); }
    return (pass);
}
sub vcl_hash { hash_data(req.http.Authorization); }
sub vcl_backend_response { set beresp.ttl = 1h; }
sub vcl_deliver { set resp.http.X-Cache = obj.hits; }
