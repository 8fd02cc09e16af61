// What a test does with the node, over ROS (drive.cpp) or over stand-ins for it (stub/test.cpp).
#pragma once

#include <sam2.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace steps {

using geometry_msgs::msg::Point;
using sam2_ros_msgs::srv::AddObjects;
using sam2_ros_msgs::srv::RemoveObject;
using sensor_msgs::msg::Image;
using vision_msgs::msg::Detection2DArray;

struct world {
    virtual ~world() = default;
    virtual void image(const Image& m) = 0;
    virtual void click(const Point& m) = 0;
    virtual AddObjects::Response add_objects(const AddObjects::Request& r) = 0;
    virtual RemoveObject::Response remove_object(const RemoveObject::Request& r) = 0;
    // Waits for results, or until it is clear that there are none.
    virtual void wait(bool published) = 0;
    Image::ConstSharedPtr last_labels;
    Detection2DArray::ConstSharedPtr last_detections;
};

// Reads an image of the folder, as rgb8 with a gap between rows.
inline Image message(const std::string& folder, int i) {
    char name[16];
    std::snprintf(name, sizeof name, "/%05d.jpg", i);
    auto picture = sam2::picture::read(folder + name);
    if (!picture) std::fprintf(stderr, "%s\n", picture.error().message.c_str()), std::exit(1);
    sam2_image image = *picture->image();
    Image m;
    m.width = image.width, m.height = image.height, m.encoding = "rgb8";
    m.header.stamp.sec = i + 1, m.header.stamp.nanosec = 5, m.header.frame_id = "camera";
    m.step = image.width * 3 + 7;
    std::size_t row = image.strides[0] ? image.strides[0] : image.width * 3;
    for (std::uint32_t y = 0; y < image.height; y++) {
        auto* from = static_cast<const std::uint8_t*>(image.planes[0]) + y * row;
        m.data.insert(m.data.end(), from, from + image.width * 3), m.data.insert(m.data.end(), 7, 0);
    }
    return m;
}

// Prints the latest results: the header and the values of the label map with their counts, then the detections.
inline void print(world& w, bool published = true) {
    w.wait(published);
    if (!w.last_labels || !w.last_detections) {
        std::puts("nothing");
        return;
    }
    const Image& m = *w.last_labels;
    std::printf("labels %d.%u %s %ux%u %s", static_cast<int>(m.header.stamp.sec), static_cast<unsigned>(m.header.stamp.nanosec),
                m.header.frame_id.c_str(), static_cast<unsigned>(m.width), static_cast<unsigned>(m.height), m.encoding.c_str());
    std::size_t bytes = m.encoding == "mono16" ? 2 : 1;
    std::vector<std::size_t> counts(65536);
    for (std::size_t i = 0; i + bytes <= m.data.size(); i += bytes)
        counts[m.data[i] + (bytes == 2 ? m.data[i + 1] * 256u : 0)]++;
    for (std::size_t v = 1; v < counts.size(); v++)
        if (counts[v]) std::printf(" %zu:%zu", v, counts[v]);
    std::puts("");
    for (const auto& d : w.last_detections->detections)
        std::printf("detection %s %.1f %.1f %.1fx%.1f %s\n", d.id.c_str(), d.bbox.center.position.x, d.bbox.center.position.y,
                    d.bbox.size_x, d.bbox.size_y, d.results.at(0).hypothesis.score > 0.5 ? "visible" : "?");
    w.last_labels.reset(), w.last_detections.reset();
}

template <class Response> void print_reply(const Response& r) {
    std::printf("%s", r.success ? "ok" : r.message.c_str());
    for (std::size_t i = 0; i < r.object_ids.size(); i++)
        std::printf(" %s=%d", r.object_ids[i].c_str(), static_cast<int>(r.object_indices[i]));
    std::puts("");
}

inline void point(AddObjects::Request& r, const std::string& id, double x, double y) {
    r.point_object_ids.push_back(id);
    r.point_coords.emplace_back();
    r.point_coords.back().x = x, r.point_coords.back().y = y;
}

inline void box(AddObjects::Request& r, const std::string& id, double left, double top, double right, double bottom) {
    r.bbox_object_ids.push_back(id);
    r.bbox_coords.emplace_back();
    auto& b = r.bbox_coords.back();
    b.center.position.x = (left + right) / 2, b.center.position.y = (top + bottom) / 2;
    b.size_x = right - left, b.size_y = bottom - top;
}

// The node needs a window of 2 images or more.
inline void run(world& w, const std::string& folder) {
    AddObjects::Request none, one, two, lost;
    point(one, "cow", 208, 249);
    print_reply(w.add_objects(one));  // no image yet
    w.image(message(folder, 0)), print(w, false);
    print_reply(w.add_objects(one)), print(w);
    w.image(message(folder, 1)), print(w);
    // Two objects on an older image, one by a box.
    point(two, "calf", 150, 120), box(two, "field", 0, 200, 90, 350);
    two.request_header.stamp.sec = 1, two.request_header.stamp.nanosec = 5;
    print_reply(w.add_objects(two)), print(w);
    w.image(message(folder, 2)), print(w);
    RemoveObject::Request removal;
    removal.object_id = "calf";
    print_reply(w.remove_object(removal));
    print_reply(w.remove_object(removal));
    w.image(message(folder, 3)), print(w);
    // Requests that are wrong change nothing.
    print_reply(w.add_objects(none));
    lost = two, lost.request_header.stamp.sec = 77;
    print_reply(w.add_objects(lost));
    lost = one, lost.point_labels = {1, 0};
    print_reply(w.add_objects(lost));
    lost = two, lost.bbox_object_ids.pop_back();
    print_reply(w.add_objects(lost));
    lost = one, point(lost, "nan", 0.0 / 0.0, 1);
    print_reply(w.add_objects(lost));
    Point click;
    click.x = 150, click.y = 120;
    w.click(click), print(w);
    removal.object_id = "";
    print_reply(w.remove_object(removal));
    w.image(message(folder, 4)), print(w, false);
}

}  // namespace steps
