// make_jpeg: real, decodable JPEG pictures of a made-up car rear with a number plate, so that tests
// and the demo need no pictures from outside.
//   make_jpeg --out plate.jpg [--text VD123] [--width 1280] [--height 720] [--bytes 150000]
// With --bytes the quality is searched so that the file comes closest to that size.
#include <cstdio>
// jpeglib.h needs FILE and size_t from the line above.
#include <jpeglib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr int kGlyphWidth = 5, kGlyphHeight = 7;

// 5x7 dots for 0-9 and A-Z, a row a byte.
constexpr uint8_t kFont[36][kGlyphHeight] = {
    {14, 17, 19, 21, 25, 17, 14}, {4, 12, 4, 4, 4, 4, 14},      {14, 17, 1, 6, 8, 16, 31},
    {14, 17, 1, 6, 1, 17, 14},    {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14},
    {6, 8, 16, 30, 17, 17, 14},   {31, 1, 2, 4, 8, 8, 8},       {14, 17, 17, 14, 17, 17, 14},
    {14, 17, 17, 15, 1, 2, 12},   {14, 17, 17, 31, 17, 17, 17}, {30, 17, 17, 30, 17, 17, 30},
    {14, 17, 16, 16, 16, 17, 14}, {30, 17, 17, 17, 17, 17, 30}, {31, 16, 16, 30, 16, 16, 31},
    {31, 16, 16, 30, 16, 16, 16}, {14, 17, 16, 23, 17, 17, 15}, {17, 17, 17, 31, 17, 17, 17},
    {14, 4, 4, 4, 4, 4, 14},      {7, 2, 2, 2, 2, 18, 12},      {17, 18, 20, 24, 20, 18, 17},
    {16, 16, 16, 16, 16, 16, 31}, {17, 27, 21, 21, 17, 17, 17}, {17, 25, 21, 19, 17, 17, 17},
    {14, 17, 17, 17, 17, 17, 14}, {30, 17, 17, 30, 16, 16, 16}, {14, 17, 17, 17, 21, 18, 13},
    {30, 17, 17, 30, 20, 18, 17}, {15, 16, 16, 14, 1, 1, 30},   {31, 4, 4, 4, 4, 4, 4},
    {17, 17, 17, 17, 17, 17, 14}, {17, 17, 17, 17, 17, 10, 4},  {17, 17, 17, 21, 21, 27, 17},
    {17, 17, 10, 4, 10, 17, 17},  {17, 17, 10, 4, 4, 4, 4},     {31, 1, 2, 4, 8, 16, 31}};

struct Picture {
  int width, height;
  std::vector<uint8_t> rgb;
  Picture(int w, int h) : width(w), height(h), rgb(static_cast<size_t>(w) * h * 3) {}
  void Set(int x, int y, int r, int g, int b) {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    uint8_t* p = &rgb[(static_cast<size_t>(y) * width + x) * 3];
    p[0] = static_cast<uint8_t>(r), p[1] = static_cast<uint8_t>(g), p[2] = static_cast<uint8_t>(b);
  }
  void Box(int x, int y, int w, int h, int r, int g, int b) {
    for (int j = y; j < y + h; ++j)
      for (int i = x; i < x + w; ++i) Set(i, j, r, g, b);
  }
};

// Road, sky and sensor noise; the noise makes it weigh what a camera's picture weighs.
void DrawScene(Picture& p, uint32_t seed) {
  for (int y = 0; y < p.height; ++y) {
    for (int x = 0; x < p.width; ++x) {
      seed = seed * 1664525u + 1013904223u;
      const int noise = static_cast<int>(seed >> 27) - 16;
      const int base = y < p.height / 2 ? 180 - y * 120 / p.height : 70 + y * 60 / p.height;
      const int wave = static_cast<int>(10 * std::sin(x * 0.05) * std::cos(y * 0.03));
      const int v = base + noise + wave;
      p.Set(x, y, std::min(255, std::max(0, v)), std::min(255, std::max(0, v + 4)),
            std::min(255, std::max(0, v + 12)));
    }
  }
}

void DrawText(Picture& p, const std::string& text, int x, int y, int dot) {
  for (const char raw : text) {
    const int c = std::toupper(static_cast<unsigned char>(raw));
    const int glyph = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : -1;
    for (int j = 0; glyph >= 0 && j < kGlyphHeight; ++j)
      for (int i = 0; i < kGlyphWidth; ++i)
        if ((kFont[glyph][j] >> (kGlyphWidth - 1 - i)) & 1)
          p.Box(x + i * dot, y + j * dot, dot, dot, 20, 20, 24);
    x += (kGlyphWidth + 1) * dot;
  }
}

void DrawCar(Picture& p, const std::string& text) {
  const int w = p.width, h = p.height;
  p.Box(w / 4, h / 4, w / 2, h / 2, 60, 20, 24);
  p.Box(w * 5 / 16, h * 9 / 32, w * 3 / 8, h / 6, 30, 34, 40);
  const int dot = std::max(1, w / 8 * 3 / ((kGlyphWidth + 1) * static_cast<int>(text.size()) + 2));
  const int plate_w = ((kGlyphWidth + 1) * static_cast<int>(text.size()) + 1) * dot;
  const int plate_h = (kGlyphHeight + 4) * dot;
  const int x = (w - plate_w) / 2, y = h * 19 / 32;
  p.Box(x, y, plate_w, plate_h, 236, 236, 228);
  DrawText(p, text, x + dot, y + 2 * dot, dot);
}

std::string Encode(const Picture& p, int quality) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);  // Its default ends the program: right for a tool.
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;  // NOLINT: libjpeg's type.
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(p.width);
  info.image_height = static_cast<JDIMENSION>(p.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    const size_t at = static_cast<size_t>(info.next_scanline) * p.width * 3;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): libjpeg only reads it.
    JSAMPROW row = const_cast<uint8_t*>(&p.rgb[at]);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string bytes(reinterpret_cast<char*>(buffer), size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return bytes;
}

std::string EncodeNear(const Picture& p, size_t want) {
  int low = 1, high = 98;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (Encode(p, middle).size() <= want) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return Encode(p, low);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("make_jpeg: a JPEG of a car with a number plate");
  std::string out, text = "VD123";
  int width = 1280, height = 720;
  size_t bytes = 0;
  app.add_option("--out", out, "File to write")->required();
  app.add_option("--text", text, "Plate text (0-9, A-Z)");
  app.add_option("--width", width)->check(CLI::Range(16, 8192));
  app.add_option("--height", height)->check(CLI::Range(16, 8192));
  app.add_option("--bytes", bytes, "Size to come close to from below; 0: quality 80");
  CLI11_PARSE(app, argc, argv);

  Picture picture(width, height);
  uint32_t seed = 1;
  for (const char c : text) seed = seed * 31 + static_cast<unsigned char>(c);
  DrawScene(picture, seed);
  if (!text.empty()) DrawCar(picture, text);
  const std::string jpeg = bytes == 0 ? Encode(picture, 80) : EncodeNear(picture, bytes);
  std::ofstream file(out, std::ios::binary);
  file.write(jpeg.data(), static_cast<std::streamsize>(jpeg.size()));
  file.close();
  if (!file) {
    std::fprintf(stderr, "make_jpeg: cannot write, %s\n", out.c_str());
    return 1;
  }
  std::printf("%s %zu bytes\n", out.c_str(), jpeg.size());
  return 0;
}
