// Reads frames from a folder of images, or with ffmpeg from a camera, a file or an address.
#pragma once

#define SAM2_CPP_EXCEPTIONS
#include <sam2.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <stdexcept>

// A frame with its memory.
struct frame {
    sam2_image image = SAM2_IMAGE_INIT;
    std::vector<std::uint8_t> bytes;
    std::optional<sam2::picture> file;
};

class source {
  public:
    virtual ~source() = default;
    // Reads the next frame. Returns whether there is one.
    virtual bool next(frame& into) = 0;
};

// Natural order: numbers in names are compared as numbers, so 2.jpg comes before 10.jpg.
inline bool natural_less(const std::string& one, const std::string& other) {
    const auto digits = [](const std::string& s, std::size_t at) {
        std::size_t end = at;
        while (end < s.size() && s[end] >= '0' && s[end] <= '9') end++;
        return s.substr(at, end - at);
    };
    std::size_t i = 0, j = 0;
    while (i < one.size() && j < other.size()) {
        std::string a = digits(one, i), b = digits(other, j);
        if (a.empty() || b.empty()) {
            if (one[i] != other[j]) return one[i] < other[j];
            i++, j++;
            continue;
        }
        i += a.size(), j += b.size();
        a.erase(0, a.find_first_not_of('0')), b.erase(0, b.find_first_not_of('0'));
        if (a != b) return a.size() != b.size() ? a.size() < b.size() : a < b;
    }
    return one.size() - i < other.size() - j;
}

// Lists the JPEG files of a folder, or its PNG files if there are none, in natural order, as the library does.
class folder : public source {
  public:
    explicit folder(const std::string& path) {
        take(path, {".jpg", ".jpeg"});
        if (files_.empty()) take(path, {".png"});
        std::sort(files_.begin(), files_.end(), natural_less);
    }
    bool next(frame& into) override {
        if (at_ == files_.size()) return false;
        into.file = sam2::picture::read(files_[at_++]);
        into.image = into.file->image();
        return true;
    }

  private:
    void take(const std::string& path, const std::vector<std::string>& suffixes) {
        for (const auto& entry : std::filesystem::directory_iterator(path)) {
            std::string suffix = entry.path().extension().string();
            for (char& c : suffix) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            bool wanted = std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end();
            if (wanted && entry.path().filename().string()[0] != '.') files_.push_back(entry.path().string());
        }
    }

    std::vector<std::string> files_;
    std::size_t at_ = 0;
};

// Reads NV12 from ffmpeg, which takes half the bytes of RGB and is converted by the library.
class ffmpeg : public source {
  public:
    ffmpeg(const std::string& what, std::uint32_t width, std::uint32_t height) : width_(width), height_(height) {
        std::string scale = "scale=" + std::to_string(width) + ":" + std::to_string(height) +
                            ":out_color_matrix=bt709:out_range=limited";
        std::vector<const char*> args = {"ffmpeg", "-nostdin", "-v", "error"};
        if (what.rfind("/dev/video", 0) == 0) args.insert(args.end(), {"-f", "v4l2"});
        args.insert(args.end(), {"-i", what.c_str(), "-vf", scale.c_str(), "-f", "rawvideo", "-pix_fmt", "nv12", "-", nullptr});
        int ends[2];
        if (pipe(ends) != 0) throw std::runtime_error("no pipe");
        child_ = fork();
        if (child_ == 0) {
            dup2(ends[1], STDOUT_FILENO), close(ends[0]), close(ends[1]);
            execvp("ffmpeg", const_cast<char* const*>(args.data()));
            _exit(127);
        }
        close(ends[1]);
        if (child_ < 0) close(ends[0]), throw std::runtime_error("no process for ffmpeg");
        out_ = fdopen(ends[0], "rb");
    }
    ffmpeg(const ffmpeg&) = delete;
    ~ffmpeg() override { end(); }

    bool next(frame& into) override {
        std::size_t luma = std::size_t(width_) * height_, all = luma + std::size_t((width_ + 1) / 2) * 2 * ((height_ + 1) / 2);
        into.bytes.resize(all);
        if (!out_ || std::fread(into.bytes.data(), 1, all, out_) != all) {
            // The end of the video, unless ffmpeg has failed and printed the reason.
            if (end() != 0) throw std::runtime_error("ffmpeg failed");
            return false;
        }
        into.image = SAM2_IMAGE_INIT;
        into.image.format = SAM2_FORMAT_NV12;
        into.image.width = width_, into.image.height = height_;
        into.image.planes[0] = into.bytes.data(), into.image.planes[1] = into.bytes.data() + luma;
        return true;
    }

  private:
    // Ends ffmpeg and returns its status.
    int end() {
        int status = 0;
        if (out_) std::fclose(out_), waitpid(child_, &status, 0);
        out_ = nullptr;
        return status;
    }
    std::uint32_t width_, height_;
    pid_t child_ = -1;
    std::FILE* out_ = nullptr;
};
