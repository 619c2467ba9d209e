// To be imported before anything is fetched. Bun's `fetch` asks the proxy that HTTP_PROXY and its like name even for what
// is at 127.0.0.1: what clients send to tenants, cookies included, would go there. The lower-case name comes first.
const { no_proxy, NO_PROXY } = process.env;
process.env.no_proxy = [no_proxy || NO_PROXY, '127.0.0.1', '[::1]'].filter(Boolean).join();
