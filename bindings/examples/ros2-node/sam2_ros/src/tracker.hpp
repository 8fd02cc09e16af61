// Tracks objects with names through a stream of images, without ROS.
#pragma once

#include <sam2.hpp>

#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace sam2_ros {

struct object {
    std::string id;
    std::uint16_t index;  // A number from 1 that belongs to this object, also after others are removed.
    bool visible;
    std::array<std::int32_t, 4> box;  // left, top, right, bottom
    float score;                      // from 0 to 1
};

struct frame {
    std::uint32_t width, height;
    std::vector<object> objects;
    std::vector<std::uint16_t> places;  // (height, width): 0, or 1 + the place in `objects`
};

// Prompt for the object of this id.
struct request {
    std::string id;
    sam2::prompt prompt;
};

// Ids of objects by their indices.
using name_table = std::map<std::int64_t, std::string>;

class tracker {
  public:
    // `window` is the number of images before the latest one that prompts may refer to.
    tracker(sam2::model model, std::uint32_t window) : model_(std::move(model)), window_(window) {}

    // Tracks all objects to the next image. Returns nothing if there is no object. An image of another size starts a new
    // stream without objects.
    sam2::result<std::optional<frame>> push(const sam2_image& image) {
        using result = sam2::result<std::optional<frame>>;
        if (auto ready = prepare(image); !ready) return ready.error();
        frame out{image.width, image.height, {}, {}};
        sam2_mask_buffer buffer = room(out);
        auto found = stream_->push_frame(image, names_.empty() ? nullptr : &buffer);
        if (!found) return found.error();
        images_.push_back({found->frame_idx, image.timestamp});
        if (images_.size() > std::size_t(window_) + 1) images_.pop_front();
        if (names_.empty()) return result(std::nullopt);
        return result(described(std::move(out), *found));
    }

    // Adds or corrects objects on the image with this stamp, or on the latest image if the stamp is 0, and tracks them to the
    // latest image. After a failure nothing is changed.
    sam2::result<frame> add(std::int64_t stamp, const std::vector<request>& requests) {
        if (requests.empty()) return wrong("no prompt");
        auto at = find(stamp);
        if (!at) return wrong(images_.empty() ? "there is no image yet" : "no image with this stamp is kept");
        auto trial = stream_->fork();
        if (!trial) return trial.error();
        name_table names = names_;
        std::uint16_t next = next_;
        frame out{width_, height_, {}, {}};
        sam2_mask_buffer buffer = room(out);
        sam2::frame_masks found;
        for (const request& r : requests) {
            std::int64_t index = find_index(names, r.id);
            if (!index) {
                if (next == 65535) return wrong("all 65534 indices are used");
                index = next++, names[index] = r.id;
            }
            // Points add to earlier points on the image. A box replaces them.
            sam2_prompt_flags flags = r.prompt.box ? 0 : SAM2_PROMPT_KEEP_POINTS;
            auto added = trial->add_new_points_or_box(at->frame, index, r.prompt, flags, &buffer);
            if (!added) return added.error();
            found = std::move(*added);
        }
        if (at->frame != images_.back().frame) {
            auto keep = [&](sam2::frame_masks f) {
                found = std::move(f);
                return true;
            };
            auto tracked = trial->propagate_in_video(keep, static_cast<std::int64_t>(at->frame) + 1, -1, false, &buffer);
            if (!tracked) return tracked.error();
        }
        stream_ = std::move(*trial), names_ = std::move(names), next_ = next;
        return sam2::result<frame>(described(std::move(out), found));
    }

    sam2::result<void> remove(const std::string& id) {
        std::int64_t index = find_index(names_, id);
        if (!index) return sam2::error{SAM2_ERROR_INVALID_ARGUMENT, "no object " + id};
        auto removed = stream_->remove_object(index);
        if (removed) names_.erase(index);
        return removed;
    }

    sam2::result<void> remove_all() {
        if (names_.empty()) return {};
        auto removed = stream_->reset_state();
        if (removed) names_.clear();
        return removed;
    }

    const name_table& objects() const { return names_; }

  private:
    // An image of the stream that prompts may refer to.
    struct kept {
        std::uint64_t frame;
        std::int64_t stamp;
    };

    static sam2::result<frame> wrong(const char* what) { return sam2::error{SAM2_ERROR_INVALID_ARGUMENT, what}; }

    static std::int64_t find_index(const name_table& all, const std::string& id) {
        for (const auto& [index, name] : all)
            if (name == id) return index;
        return 0;
    }

    std::optional<kept> find(std::int64_t stamp) const {
        for (auto it = images_.rbegin(); it != images_.rend(); ++it)
            if (!stamp || it->stamp == stamp) return *it;
        return std::nullopt;
    }

    sam2::result<void> prepare(const sam2_image& image) {
        if (stream_ && image.width == width_ && image.height == height_) return {};
        sam2_video_predictor_options options = SAM2_VIDEO_PREDICTOR_OPTIONS_INIT;
        options.window = window_;
        auto fresh = sam2::video_predictor::create_stream(model_, options);
        if (!fresh) return fresh.error();
        stream_.emplace(std::move(*fresh)), width_ = image.width, height_ = image.height;
        names_.clear(), images_.clear();
        return {};
    }

    static sam2_mask_buffer room(frame& f) {
        f.places.resize(std::size_t(f.width) * f.height);
        sam2_mask_buffer buffer = SAM2_MASK_BUFFER_INIT;
        buffer.format = SAM2_MASK_LABELS, buffer.data = f.places.data(), buffer.size = 2 * f.places.size();
        return buffer;
    }

    frame described(frame out, const sam2::frame_masks& found) const {
        for (std::size_t i = 0; i < found.obj_ids.size(); i++) {
            float score = 1 / (1 + std::exp(-found.object_score_logits[i]));
            out.objects.push_back({names_.at(found.obj_ids[i]), static_cast<std::uint16_t>(found.obj_ids[i]), !found.lost[i],
                                   found.boxes[i], score});
        }
        return out;
    }

    sam2::model model_;
    std::uint32_t window_, width_ = 0, height_ = 0;
    std::optional<sam2::video_predictor> stream_;
    std::deque<kept> images_;
    name_table names_;
    std::uint16_t next_ = 1;
};

}  // namespace sam2_ros
