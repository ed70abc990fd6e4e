# shellcheck shell=bash disable=SC2034
# Debian 12 packages by purpose. `command=package` means: needed only if the command is missing,
# so that a Node.js or Rust from elsewhere is as good as Debian's.

PACKAGES_build=(
  g++ cmake ninja-build python3 pkg-config ccache mold git ca-certificates curl
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  libabsl-dev libboost-dev libboost-filesystem-dev libboost-system-dev
  libcpp-httplib-dev libwebsocketpp-dev libsqlite3-dev libpq-dev libssl-dev zlib1g-dev libsystemd-dev
  libyaml-cpp-dev libre2-dev libvalijson-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libcli11-dev
  libargon2-dev libjpeg-dev libpng-dev libexif-dev libjemalloc-dev libjwt-dev libmosquitto-dev libopencv-dev libssh-dev prometheus-cpp-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)

# Beside the build: what test scripts start, and the linters that run as tests.
PACKAGES_test=(
  sqlite3 postgresql curl procps openssl util-linux iproute2 ping=iputils-ping socat
  mosquitto=mosquitto mosquitto_pub=mosquitto-clients python3-paho-mqtt python3-websocket python3-socketio
  python3-grpcio
  python3-cryptography python3-requests python3-numpy python3-yaml openssh-server ssh-keygen=openssh-client rsync=rsync
  systemd-analyze=systemd libseccomp2 promtool=prometheus
  binutils abigail-tools clang-format shellcheck codespell rustc=rustc
)

# The documents as a site.
PACKAGES_docs=(mkdocs python3-protobuf git help2man=help2man groff-base)

PACKAGES_demo=(curl procps)

PACKAGES_node=(node=nodejs npm=npm)

# What the dashboard's tests look with, and the faces of its Thai words.
PACKAGES_browser=(chromium fonts-noto-core fonts-thai-tlwg)

PACKAGES_clang=(clang clang-tidy libclang-rt-14-dev)

PACKAGES_bench=(
  postgresql mosquitto=mosquitto mosquitto_pub=mosquitto-clients python3-flask gunicorn gunicorn
  python3-flask-socketio python3-gevent-websocket curl procps util-linux
  openssh-server scp=openssh-client rsync=rsync
)

PACKAGES_package=(dpkg-dev file dh=debhelper help2man=help2man go-md2man=go-md2man lintian=lintian debootstrap=debootstrap)

# For the other architecture, on a machine of its own: see tools/dev.d/package.sh.
PACKAGES_arm64=(
  crossbuild-essential-arm64 cmake ninja-build pkg-config mold ccache python3 git
  protobuf-compiler protobuf-compiler-grpc libwebsocketpp-dev nlohmann-json3-dev libcli11-dev
  dpkg-dev file dh=debhelper lintian=lintian
  libgrpc++-dev:arm64 libprotobuf-dev:arm64 libabsl-dev:arm64 libboost-dev:arm64
  libboost-filesystem-dev:arm64 libboost-system-dev:arm64 libcpp-httplib-dev:arm64
  libsqlite3-dev:arm64 libpq-dev:arm64 libssl-dev:arm64 zlib1g-dev:arm64 libsystemd-dev:arm64
  libyaml-cpp-dev:arm64 libre2-dev:arm64 libspdlog-dev:arm64 libfmt-dev:arm64 libargon2-dev:arm64
  libjpeg-dev:arm64 libpng-dev:arm64 libexif-dev:arm64 libjemalloc-dev:arm64 libjwt-dev:arm64
  libmosquitto-dev:arm64 libopencv-dev:arm64 libssh-dev:arm64 prometheus-cpp-dev:arm64
  libgtest-dev:arm64 libgmock-dev:arm64 libbenchmark-dev:arm64
)

# What draws plates and street scenes of hailo_lpr: OpenCV, and the faces of plates.
PACKAGES_scenes=(
  python3-numpy python3-pil python3-opencv python3-yaml
  fonts-thai-tlwg fonts-arundina fonts-noto-core fonts-roadgeek fonts-dejavu fonts-liberation fonts-opendin
  fonts-bebas-neue fonts-urw-base35 fonts-roboto-unhinted fonts-yanone-kaffeesatz fonts-adf-gillius
  fonts-adf-switzera fonts-national-park fonts-routed-gothic fonts-osifont fonts-ocr-b fonts-open-sans
  fonts-b612 fonts-texgyre fonts-lato fonts-paratype fonts-cabin fonts-freefont-ttf fonts-dosis
)

# The nets of hailo_lpr learn from what is drawn.
PACKAGES_training=("${PACKAGES_scenes[@]}" python3-torch util-linux)
