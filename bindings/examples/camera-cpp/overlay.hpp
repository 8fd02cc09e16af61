// Writes frames with tinted objects as PPM files.
#pragma once

#include "source.hpp"

#include <cmath>
#include <fstream>

// Gets red, green and blue of a pixel in host memory.
inline std::array<int, 3> colour(const sam2_image& image, std::size_t x, std::size_t y) {
    auto at = [&](int plane, std::size_t tight, std::size_t row, std::size_t byte) -> int {
        std::size_t stride = image.strides[plane] ? image.strides[plane] : tight;
        return static_cast<const std::uint8_t*>(image.planes[plane])[row * stride + byte];
    };
    switch (image.format) {
        case SAM2_FORMAT_NV12: {
            std::size_t chroma = (image.width + 1) / 2 * 2;
            double l = 1.164 * (at(0, image.width, y, x) - 16);
            double u = at(1, chroma, y / 2, x / 2 * 2) - 128, v = at(1, chroma, y / 2, x / 2 * 2 + 1) - 128;
            auto byte = [](double value) { return int(std::lround(std::clamp(value, 0.0, 255.0))); };
            return {byte(l + 1.793 * v), byte(l - 0.213 * u - 0.533 * v), byte(l + 2.112 * u)};
        }
        case SAM2_FORMAT_GRAY8: {
            int gray = at(0, image.width, y, x);
            return {gray, gray, gray};
        }
        default: {
            std::size_t n = image.format == SAM2_FORMAT_RGBA8 ? 4 : 3;
            auto channel = [&](std::size_t i) { return at(0, image.width * n, y, x * n + i); };
            return {channel(0), channel(1), channel(2)};
        }
    }
}

// Writes a frame, half tinted where a label is not 0.
inline void write_overlay(const std::string& path, const sam2_image& image, const std::vector<std::uint16_t>& labels) {
    std::ofstream file(path, std::ios::binary);
    file << "P6\n" << image.width << ' ' << image.height << "\n255\n";
    std::string row(std::size_t(image.width) * 3, 0);
    const int tint[3] = {30, 110, 255};
    for (std::size_t y = 0; y < image.height; y++) {
        for (std::size_t x = 0; x < image.width; x++) {
            auto rgb = colour(image, x, y);
            bool on = labels[y * image.width + x] != 0;
            for (std::size_t c = 0; c < 3; c++) row[x * 3 + c] = static_cast<char>(on ? (rgb[c] + tint[c]) / 2 : rgb[c]);
        }
        file.write(row.data(), static_cast<std::streamsize>(row.size()));
    }
    if (!file.flush()) throw std::runtime_error(path + " cannot be written");
}
