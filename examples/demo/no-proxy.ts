// To be imported before the first `fetch`. Bun's `fetch` uses the proxy of HTTP_PROXY and the like
// even for 127.0.0.1: requests to tenants, cookies included, would go to it. The lower-case name
// comes first.
const { no_proxy, NO_PROXY } = process.env;
process.env.no_proxy = [no_proxy || NO_PROXY, '127.0.0.1', '[::1]'].filter(Boolean).join();
