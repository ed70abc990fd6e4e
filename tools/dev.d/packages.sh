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

PACKAGES_package=(dpkg-dev file)

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
