# Read by scripts that build for another target folder: OpenSSL is taken from the folder of the tests, where
# cargo has built it, and not built once more.
openssl=$(ls -td "$PWD"/target/debug/build/openssl-sys-*/out/openssl-build/install 2>/dev/null | head -n 1)
if [ -n "$openssl" ]; then
    # DEP_OPENSSL_ROOT is what openssl-sys tells librdkafka's build when it builds OpenSSL itself.
    export OPENSSL_NO_VENDOR=1 OPENSSL_STATIC=1 OPENSSL_DIR="$openssl" DEP_OPENSSL_ROOT="$openssl"
fi
