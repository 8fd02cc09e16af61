# NOT ROS: what the CMakeLists.txt of the node takes of it, where ROS is not installed.
macro(ament_package)
endmacro()
