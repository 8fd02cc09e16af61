// Passes frames in every encoding and a click to the node, and prints what it publishes. MODEL is the argument of the
// node, and FRAMES in the environment is a folder.
#include "../node.cpp"

#include <cstdlib>

static Image message(int i) {
    char name[16];
    std::snprintf(name, sizeof name, "/%05d.jpg", i);
    auto picture = sam2::picture::read(std::getenv("FRAMES") + std::string(name));
    if (!picture) std::fprintf(stderr, "%s\n", picture.error().message.c_str()), std::exit(1);
    sam2_image image = *picture->image();
    Image m;
    m.width = image.width, m.height = image.height, m.encoding = "rgb8";
    m.header.stamp.sec = i, m.header.stamp.nanosec = 5, m.header.frame_id = "camera";
    // Rows with a gap.
    m.step = image.width * 3 + 7;
    std::size_t row = image.strides[0] ? image.strides[0] : image.width * 3;
    for (std::uint32_t y = 0; y < image.height; y++) {
        auto* from = static_cast<const std::uint8_t*>(image.planes[0]) + y * row;
        m.data.insert(m.data.end(), from, from + image.width * 3), m.data.insert(m.data.end(), 7, 0);
    }
    return m;
}

// Converts an image to another encoding: other orders of channels, or the green channel with neutral chroma.
static Image as(const Image& m, const std::string& encoding) {
    Image out = m;
    out.encoding = encoding, out.data.clear();
    std::string order = encoding == "rgb8" ? "012" : encoding == "bgr8" || encoding == "8UC3" ? "210"
                        : encoding == "rgba8" ? "0123" : encoding == "bgra8" ? "2103"
                        : encoding == "yuyv" || encoding == "yuv422_yuy2" ? "1-" : encoding == "uyvy" || encoding == "yuv422" ? "-1" : "1";
    for (std::uint32_t y = 0; y < m.height; y++)
        for (std::uint32_t x = 0; x < m.width; x++)
            for (char c : order)
                out.data.push_back(c == '-' ? 128 : c == '3' ? 255 : m.data[y * m.step + x * 3 + std::size_t(c - '0')]);
    out.step = out.width * static_cast<std::uint32_t>(order.size());
    if (encoding == "nv12") out.data.insert(out.data.end(), std::size_t(out.width) * ((out.height + 1) / 2), 128);
    return out;
}

// Images with best effort, as camera drivers publish, and reliable clicks.
static void send(const char* topic, const Image& m) {
    rclcpp::Publisher<Image>{topic, rclcpp::SensorDataQoS()}.publish(m);
}
static void send(const char* topic, const Point& m) {
    rclcpp::Publisher<Point>{topic}.publish(m);
}

void rclcpp::spin(std::shared_ptr<rclcpp::Node>) {
    auto mask = [](Image::ConstSharedPtr m) {
        std::size_t pixels = 0;
        for (auto v : m->data) pixels += v == 255;
        std::printf("mask %d.%u %s %ux%u %s %zu\n", m->header.stamp.sec, m->header.stamp.nanosec, m->header.frame_id.c_str(),
                    m->width, m->height, m->encoding.c_str(), pixels);
    };
    topics<Image>().emplace("mask", Subscriber<Image>{mask});
    auto region = [](RegionOfInterest::ConstSharedPtr r) {
        std::printf("region %u %u %ux%u\n", r->x_offset, r->y_offset, r->width, r->height);
    };
    topics<RegionOfInterest>().emplace("region", Subscriber<RegionOfInterest>{region});
    Image first = message(0);
    send("image", first);  // nothing was clicked: nothing comes
    Point click;
    click.x = 208, click.y = 249;
    send("click", click);
    send("image", first), send("image", message(1));
    for (const char* name : {"rgb8", "bgr8", "8UC3", "rgba8", "bgra8", "mono8", "8UC1", "yuyv", "yuv422_yuy2", "uyvy", "yuv422", "nv12"}) {
        std::puts(name);
        send("click", click), send("image", as(first, name));
    }
    std::puts("wrong");
    Image wrong = as(first, "rgb8");
    wrong.encoding = "bayer_rggb8", send("image", wrong);
    wrong.encoding = "rgb8", wrong.step--, send("image", wrong);
    wrong = as(first, "nv12"), wrong.data.pop_back(), send("image", wrong);
    wrong = as(first, "mono8"), wrong.step = 0, send("image", wrong);
    std::printf("%lld\n", static_cast<long long>(sam2_ros::to_image(message(3))->timestamp));
}
