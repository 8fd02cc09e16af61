// NOT ROS: sam2_node MODEL loads the component that is installed beside it and prints the state of its node.
#include <ros.hpp>

#include <dlfcn.h>
#include <filesystem>

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    auto lib = std::filesystem::canonical("/proc/self/exe").parent_path().parent_path();
    void* component = dlopen((lib / "libsam2_component.so").c_str(), RTLD_NOW);
    if (!component) return std::fprintf(stderr, "%s\n", dlerror()), 1;
    using Node = rclcpp_lifecycle::LifecycleNode;
    auto make = reinterpret_cast<Node* (*)(const rclcpp::NodeOptions&)>(dlsym(component, "stub_make_node"));
    rclcpp::NodeOptions options;
    options.append_parameter_override("model", std::string(argv[1]));
    std::unique_ptr<Node> node(make(options));
    std::printf("%s\n", node->get_current_state().label().c_str());
}
